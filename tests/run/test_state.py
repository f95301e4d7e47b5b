"""The fold: the same log gives the same state, however it is read and whatever happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.run.helpers import step, validated
from workbench.run import events
from workbench.run.event_lines import Record
from workbench.run.state import RunState, drop_steps_after, rollback_step, seconds_between

STAGE = "train:sft"
PLAN = events.TrainingPlanned(
    steps=10,
    from_step=0,
    epochs=1.0,
    tokens_per_epoch=10,
    trained_tokens_per_epoch=5,
    trainable_parameters=1,
    total_parameters=2,
    device="cpu",
    dtype="float32",
)
STARTED = events.RunStarted(pid=1, host="h", version="0", stages=["prepare", STAGE])


def told(*said: tuple[events.Event, str], first: int = 1) -> list[Record]:
    """Records a second apart."""
    return [
        Record(n, f"2026-01-01T00:00:{n % 60:02}.000Z", stage, event)
        for n, (event, stage) in enumerate(said, first)
    ]


def fold(records: Sequence[Record]) -> RunState:
    state = RunState()
    state.apply(records)
    return state


def test_a_run_from_start_to_end() -> None:
    done = events.StageDone(elapsed_s=4.0, inputs="x")
    state = fold(
        told(
            (STARTED, ""),
            (events.StageStarted(title="Train"), STAGE),
            (PLAN, STAGE),
            (step(1), STAGE),
            (step(2), STAGE),
            (validated(2, 0.7), STAGE),
            (validated(4, 0.9), STAGE),
            (events.CheckpointSaved(step=4, path="p", elapsed_s=0.1), STAGE),
            (done, STAGE),
            (events.RunDone(elapsed_s=5.0), ""),
        )
    )
    stage = state.stages[STAGE]
    assert (state.status, state.exit_status, state.stage) == ("done", 0, STAGE)
    assert (stage.status, stage.elapsed_s, stage.best_loss, stage.saved_step) == ("done", 4, 0.7, 4)
    assert [s.step for s in stage.steps] == [1, 2]
    assert state.stages["prepare"].status == "waiting" and state.last_seq == 10


def test_steps_told_twice_after_a_resume_count_once() -> None:
    first = [(step(n), STAGE) for n in (1, 2, 3, 4)]
    resumed = events.Resumed(from_step=2, path="p")
    again = [(step(n, loss=9.0), STAGE) for n in (3, 4, 5)]
    said = [(STARTED, ""), (PLAN, STAGE), *first, (validated(4, 0.1), STAGE)]
    state = fold(told(*said, (resumed, STAGE), *again))
    stage = state.stages[STAGE]
    assert [s.step for s in stage.steps] == [1, 2, 3, 4, 5]
    assert [s.loss for s in stage.steps][2:] == [9.0, 9.0, 9.0]
    assert stage.validations == []


def test_what_rolls_a_stage_back() -> None:
    assert rollback_step(events.Resumed(from_step=2, path="p")) == 2
    assert rollback_step(PLAN) == -1
    assert rollback_step(replace(PLAN, from_step=3)) is None
    assert rollback_step(step(1)) is None
    assert drop_steps_after([step(1), step(2), step(3)], 2) == [step(1), step(2)]
    assert drop_steps_after([step(1)], -1) == []


def test_a_stage_begun_anew_forgets_its_curve() -> None:
    state = fold(told((PLAN, STAGE), (step(1), STAGE), (PLAN, STAGE)))
    assert state.stages[STAGE].steps == []


def test_endings() -> None:
    stopped = fold(told((STARTED, ""), (events.RunStopped(reason="asked"), "")))
    failed = fold(told((STARTED, ""), (events.RunFailed(error="e", status=2), "")))
    assert (stopped.status, stopped.exit_status) == ("stopped", 130)
    assert (failed.status, failed.exit_status, failed.error) == ("failed", 2, "e")


def test_a_new_life_wipes_the_last_one_s_ending_and_its_running_stage() -> None:
    state = fold(
        told(
            (STARTED, ""),
            (events.StageStarted(title="t"), STAGE),
            (events.RunFailed(error="e", status=1), ""),
            (STARTED, ""),
        )
    )
    assert (state.status, state.exit_status, state.error, state.stage) == ("running", None, "", "")
    assert state.stages[STAGE].status == "waiting"


def test_time_left_by_the_logs_own_clock() -> None:
    records = told((events.StageStarted(title="t"), STAGE), *((step(n), STAGE) for n in (1, 2, 3)))
    assert fold(records).stages[STAGE].seconds_left == 7.0
    assert fold(records[:2]).stages[STAGE].seconds_left is None


def test_time_left_starts_anew_with_each_model_that_is_asked() -> None:
    asked = [("base", 1), ("base", 2), ("tuned", 1), ("tuned", 2)]
    said = [(events.Answered(model=model, done=n, total=10), "evaluate") for model, n in asked]
    stage = fold(told(*said)).stages["evaluate"]
    assert stage.seconds_left == 8.0
    assert stage.progress and stage.progress.label == "tuned" and stage.progress.done == 2


def test_a_clock_that_steps_back_gives_no_negative_time() -> None:
    assert seconds_between("2026-01-01T01:00:00Z", "2026-01-01T00:00:00Z") == 0
    assert seconds_between("2026-01-01T00:00:00Z", "2026-01-01T00:00:02Z") == 2
    assert seconds_between("", "2026-01-01T00:00:02Z") == 0
    assert seconds_between("rubbish", "2026-01-01T00:00:02Z") == 0
    assert seconds_between("2026-01-01T00:00:00", "2026-01-01T00:00:02Z") == 0


@given(st.lists(st.integers(0, 12), max_size=6))
def test_the_fold_does_not_depend_on_how_the_log_was_cut_into_polls(cuts: list[int]) -> None:
    records = told(
        (STARTED, ""),
        (events.StageStarted(title="t"), STAGE),
        (PLAN, STAGE),
        *((step(n), STAGE) for n in (1, 2, 3)),
        (events.Resumed(from_step=1, path="p"), STAGE),
        *((step(n), STAGE) for n in (2, 3)),
        (events.RunDone(elapsed_s=1.0), ""),
    )
    state, begin = RunState(), 0
    for cut in [*sorted(cuts), len(records)]:
        state.apply(records[begin:cut])
        begin = max(begin, cut)
    assert state == fold(records)


def test_what_a_stage_was_watched_by_is_kept_and_told_anew_after_a_resume() -> None:
    def general(step: int) -> events.GeneralMeasured:
        return events.GeneralMeasured(step=step, loss=3.0, tokens=9, elapsed_s=0.1)

    def sampled(step: int) -> events.Sampled:
        return events.Sampled(step=step, prompt="p", answer="a", stopped=True)

    memory = events.MemoryMeasured(
        peak_bytes=1, estimated_bytes=2, device_bytes=3, free_bytes=1, parts={"weights": 2}
    )
    said = [(event, STAGE) for event in (PLAN, memory, general(0), sampled(0), general(4))]
    state = fold(told((STARTED, ""), *said, (events.Resumed(from_step=3, path="p"), STAGE)))
    stage = state.stages[STAGE]
    assert stage.memory == memory
    assert [one.step for one in stage.general] == [one.step for one in stage.samples] == [0]
    state.apply(told((PLAN, STAGE), first=90))
    assert not stage.general and not stage.samples, "begun anew: step 0 is told again"


def test_the_load_is_that_of_the_life_at_work() -> None:
    load = events.Load(cpu_share=1.0, worker_cores=2.0, memory_bytes=1, memory_free_bytes=2)
    state = fold(told((STARTED, ""), (load, "")))
    assert state.load == load
    state.apply(told((STARTED, ""), first=90))
    assert state.load is None
