"""What a state is in words, and what a view writes where."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import pytest
from rich.console import Console

from tests.run.helpers import step, validated
from tests.run.test_state import PLAN, STAGE, STARTED, fold, told
from workbench.console.live_view import LiveView
from workbench.console.views import EventLines, PlainView
from workbench.reports import status_text
from workbench.run import events
from workbench.run.state import RunState

BEGIN = [(STARTED, ""), (events.StageStarted(title="Train: sft"), STAGE), (PLAN, STAGE)]


def training(*steps: int) -> RunState:
    return fold(told(*BEGIN, *((step(n), STAGE) for n in steps)))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.94, "0.94"),
        (1234, "1,234"),
        (1234.5, "1,234.50"),
        (1.2e-5, "1.2e-05"),
        (0.0, "0.00"),
        (math.nan, "not finite"),
        (True, "True"),
        ("\x1b[1m", "\\x1b[1m"),
        (None, "None"),
    ],
)
def test_figures(value: object, shown: str) -> None:
    assert status_text.number(value) == shown


def test_a_training_stage_at_work() -> None:
    state = training(1, 2)
    state.apply(told((validated(2, 0.5), STAGE), first=20))
    phrase = status_text.running_text(state.stages[STAGE])
    assert phrase.share == 0.2
    assert phrase.text == "step 2 of 10  loss 1.00  best 0.50  5,000 tok/s"
    assert phrase.left == "0:08 left"


def test_memory_and_what_became_of_the_general_text() -> None:
    memory = events.MemoryMeasured(
        peak_bytes=3 << 29, estimated_bytes=1 << 30, device_bytes=8 << 30, free_bytes=5 << 30
    )
    general = [
        events.GeneralMeasured(step=step, loss=loss, tokens=9, elapsed_s=0.1)
        for step, loss in ((0, 3.0), (1, 3.25))
    ]
    records = told((PLAN, STAGE), (memory, STAGE), (step(1), STAGE), *((g, STAGE) for g in general))
    state = fold(records)
    (line,) = EventLines().lines(records, state)
    words = "peak memory 1.5 GiB for the largest batch (estimated 1.0 GiB), 5.0 GiB free"
    assert line == f"  train sft        {words}"
    assert "general-text loss 3.00 → 3.25" in status_text.finished_text(state.stages[STAGE], state)


def test_several_processes_are_told_of() -> None:
    for plan, wanted in (
        (PLAN, []),
        (replace(PLAN, processes=4), ["  train sft        on 4 processes (cpu)"]),
        (
            replace(PLAN, processes=2, shared=True),
            ["  train sft        on 2 processes (cpu), weights sharded"],
        ),
    ):
        records = told((plan, STAGE))
        assert list(EventLines().lines(records, fold(records))) == wanted


def test_another_stage_at_work() -> None:
    progress = events.Progress(done=3, total=12, unit="tensors", label="q8_0")
    state = fold(told((events.StageStarted(title="Export"), "export"), (progress, "export")))
    phrase = status_text.running_text(state.stages["export"])
    assert (phrase.share, phrase.text, phrase.left) == (0.25, "3 of 12 tensors  q8_0", "")
    unknown = events.Progress(done=3, total=0, unit="rows")
    state.apply(told((unknown, "export"), first=9))
    assert status_text.running_text(state.stages["export"]).share is None


def test_a_stage_that_has_only_begun_tells_its_title() -> None:
    assert status_text.running_text(training().stages[STAGE]).text == "Train: sft"


def test_speed_is_all_tokens_over_all_time() -> None:
    """A step's `tokens` count from the stage's beginning: late steps weigh no more for it."""
    slow = step(1, tokens=1000, tokens_per_second=100.0, elapsed_s=10.0)
    fast = step(2, tokens=2000, tokens_per_second=500.0, elapsed_s=2.0)
    assert status_text.tokens_per_second([slow, fast]) == pytest.approx(2000 / 12)
    assert status_text.tokens_per_second([]) == 0
    assert status_text.tokens_per_second([step(1, tokens_per_second=0.0)]) == 0


def test_an_export_tells_its_files_and_its_worst_parity() -> None:
    exported = [
        events.FileExported(type=kind, path=kind, bytes=2048, fallbacks=0, elapsed_s=1.0)
        for kind in ("f16", "q8_0")
    ]
    parity = {"top1": 1.0, "kl_max": 1.0, "ids_equal": True}
    good = events.ParityMeasured(type="f16", kl_mean=1e-5, passed=True, **parity)
    bad = events.ParityMeasured(type="q8_0", kl_mean=0.5, passed=False, **parity)
    done = events.StageDone(elapsed_s=3.0, inputs="")
    said = [(event, "export") for event in (*exported, good)]
    state = fold(told(*said, (done, "export")))
    line = status_text.finished_text(state.stages["export"], state)
    assert "f16 2.0 KiB  q8_0 2.0 KiB  parity passed, mean KL at most 1.0e-05  0:03" in line
    state.apply(told((bad, "export"), first=9))
    assert "parity FAILED, mean KL at most 0.50" in status_text.finished_text(
        state.stages["export"], state
    )


def test_an_evaluation_tells_before_and_after() -> None:
    said = [
        (events.Evaluated(model="base", figures={"passed": 0.0, "prompts": 7}), "evaluate"),
        (events.Evaluated(model="tuned", figures={"passed": 0.94, "stopped": 1.0}), "evaluate"),
        (events.StageDone(elapsed_s=1.0, inputs=""), "evaluate"),
    ]
    state = fold(told(*said))
    line = status_text.finished_text(state.stages["evaluate"], state)
    assert "pass rate 0.00 → 0.94  stops 1.00  0:01" in line


def test_a_stage_without_events_of_its_own_tells_its_summary() -> None:
    done = events.StageDone(elapsed_s=1.0, inputs="", summary={"rows": 12})
    state = fold(told((done, "other")))
    assert "rows 12" in status_text.finished_text(state.stages["other"], state)


def test_every_ending_and_skip_is_one_line() -> None:
    records = told(
        *BEGIN,
        (events.StageSkipped(reason="unchanged"), "prepare"),
        (events.Resumed(from_step=7, path="p"), STAGE),
        (events.CheckpointRefused(path="step-9", reason="a is damaged"), STAGE),
        (events.Note(message="for your\ninformation"), ""),
        (events.Note(message="careful", level="warning"), ""),
        (events.Note(message="careful", level="warning"), ""),
    )
    lines = list(EventLines().lines(records, fold(records)))
    assert lines == [
        "✓ prepare          skipped: unchanged",
        "  train sft resumes after step 7",
        "! skipped step-9: a is damaged",
        "  for your information",
        "! careful",
    ]


def test_plain_progress_is_sparse() -> None:
    """A line a second at most, and only every twentieth of the way or every half minute."""
    clock, out = [100.0], io.StringIO()
    view, state = PlainView(out, now=lambda: clock[0]), RunState()

    def poll(*said: tuple[events.Event, str]) -> int:
        before = len(out.getvalue().splitlines())
        records = told(*said, first=state.last_seq + 1)
        state.apply(records)
        view.show(state, records)
        return len(out.getvalue().splitlines()) - before

    assert poll(*BEGIN) == 1  # the stage's title
    assert poll((step(1, 1000), STAGE)) == 0  # the same second
    clock[0] += 1.5
    assert poll((step(2, 1000), STAGE)) == 0  # no way yet
    assert poll((step(100, 1000), STAGE)) == 1
    clock[0] += 1.5
    assert poll((step(101, 1000), STAGE)) == 0
    clock[0] += 30
    assert poll((step(102, 1000), STAGE)) == 1
    clock[0] += 60
    assert poll() == 0  # nothing new: nothing said
    assert "\r" not in out.getvalue() and "\x1b" not in out.getvalue()


def test_the_live_line_shows_hostile_text_harmlessly() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, markup=False, emoji=False)
    view, state = LiveView(console), RunState()
    hostile = "\x1b]0;owned\x07[red]\u202e :smile:"
    progress = events.Progress(done=1, total=2, unit=hostile, label=hostile)
    records = told(
        (events.StageStarted(title=hostile), hostile),
        (events.Note(message=hostile, level="warning"), hostile),
        (progress, hostile),
    )
    state.apply(records)
    view.show(state, records)
    view.close()
    shown = out.getvalue()
    assert "\x1b]" not in shown and "\x07" not in shown and "\u202e" not in shown
    assert "[red]" in shown and ":smile:" in shown


def test_the_live_view_leaves_finished_stages_as_lines() -> None:
    out = io.StringIO()
    view = LiveView(Console(file=out, width=120, markup=False))  # no terminal: no live line
    records = told(*BEGIN, (step(1), STAGE), (events.StageDone(elapsed_s=2.0, inputs=""), STAGE))
    view.show(fold(records), records)
    view.close()
    assert "✓ train sft        1 step  loss 2.00 → 2.00  5,000 tok/s  0:02" in out.getvalue()
