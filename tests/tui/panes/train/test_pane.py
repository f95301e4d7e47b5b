"""Every action of the Train pane, as a person presses it."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.run.helpers import make_run, step
from tests.tui.helpers import (
    HOSTILE,
    STAGE,
    failed_run,
    finished_run,
    on_screen,
    stopped_run,
    text_of,
    three_runs,
    until,
)
from workbench.run import events, launch
from workbench.run.folder import runs_root
from workbench.run.log import EventLog
from workbench.tui.app import WorkbenchApp
from workbench.tui.chart.chart import Chart
from workbench.tui.panes.train.pane import TrainPane
from workbench.tui.widgets.log_view import LogView

FAKE_WORKER = (sys.executable, str(Path(__file__).parents[2] / "fake_worker.py"))


def main_chart(app: WorkbenchApp) -> Chart:
    return app.query_one("#main", Chart)


def pane(app: WorkbenchApp) -> TrainPane:
    return app.query_one(TrainPane)


def test_curves_figures_and_answers_of_a_finished_run() -> None:
    finished_run()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("4")
        text = text_of(app)
        assert "✓ finished  done  5 min ago" in text
        assert "step 100/100  loss 0.3841" in text and "5,000 tok/s" in text
        assert "━ train" in text and "━ val 0.5841" in text and "●" in text
        assert "answer at 100 \\x1b]0;owned\\x07[bold red]x[/]" in text and "second line" in text

    on_screen(story)


def test_load_and_general_text_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "WORKER", FAKE_WORKER)
    run = stopped_run()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("4", "r")
        await until(pilot, lambda: app.watching.at_work(run))
        log = EventLog(run.events_file)
        for number, loss in ((0, 3.0), (50, 3.25)):
            told = events.GeneralMeasured(step=number, loss=loss, tokens=9, elapsed_s=0.1)
            log.append(told, STAGE)
        log.append(
            events.Load(
                cpu_share=0.98,
                worker_cores=1.9,
                memory_bytes=3 << 29,
                memory_free_bytes=20 << 30,
                gpu_share=0.5,
                gpu_memory_bytes=5 << 30,
                gpu_memory_total_bytes=8 << 30,
            )
        )
        log.close()
        await until(pilot, lambda: "gpu 50% 5.0 of 8.0 GiB" in text_of(app))
        text = text_of(app)
        assert "  grad norm 0.5  1.5 GiB (20.0 GiB free)  cpu 98% (worker 1.9 cores)" in text
        assert "general 3.25 (+0.25)" in text
        await pilot.press("v")
        assert [len(line.series) for line in pane(app).main_lines()] == [2]
        await pilot.press("s")
        await until(pilot, lambda: not app.watching.at_work(run))

    on_screen(story, (118, 40))


def test_answers_to_all_prompts_then_to_one_over_time() -> None:
    finished_run()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("4")
        assert "answer at 100" in text_of(app) and "a: show one" in text_of(app)
        await pilot.press("b", "b")
        await pilot.pause()
        assert "answer at 90" not in text_of(app)
        await pilot.press("a")
        text = text_of(app)
        assert "Samples 1 of 1" in text and "a: show all" in text
        assert text.index("answer at 100") < text.index("answer at 90") < text.index("step 80")
        await pilot.press("a", "b")
        assert "Samples 1 of 1" not in text_of(app) and main_chart(app).size.height > 0

    on_screen(story)


def test_wide_screens_show_the_small_charts() -> None:
    finished_run()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("4")
        await pilot.pause()
        assert "learning rate" in text_of(app) and "gradient norm" in text_of(app)

    on_screen(story, (160, 48))


def test_not_a_number_is_marked() -> None:
    failed_run()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("4")
        assert "✗ 1 NaN" in text_of(app)
        assert "loss is not a number \\x1b" in text_of(app)

    on_screen(story)


def test_smoothing_up_and_down() -> None:
    finished_run()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("4", *["right_square_bracket"] * 9)
        assert app.memory.smoothing == 0.99 and app.status.line == "smoothing 0.99"
        await pilot.press(*["left_square_bracket"] * 9)
        assert app.memory.smoothing == 0.0
        assert "train 0.3841 " in text_of(app)

    on_screen(story)


def test_logarithmic_axis() -> None:
    finished_run()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("4", "l")
        assert app.memory.log_y and " log" in text_of(app)
        await pilot.press("l")
        assert not main_chart(app).log_y

    on_screen(story)


def test_zoom_pan_crosshair_and_back() -> None:
    finished_run()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("4", "plus", "plus")
        view = main_chart(app).view
        assert view.fixed and view.window.low == 75
        await pilot.press("left")
        assert view.window.low < 75
        await pilot.press("minus", "x")
        assert view.crosshair is not None
        at = view.crosshair
        await pilot.press("right", "right")
        assert view.crosshair > at
        await pilot.press("0")
        assert not view.fixed and view.crosshair is None

    on_screen(story)


def test_mouse_zoom_drag_and_crosshair() -> None:
    finished_run()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("4")
        chart = main_chart(app)
        await pilot.click(chart, offset=(40, 4))
        await pilot.pause()
        assert chart.view.crosshair == pytest.approx(46, abs=2)
        chart._zoom_at(40, 0.5)
        low = chart.view.window.low
        await pilot.mouse_down(chart, offset=(40, 4))
        await pilot.hover(chart, offset=(50, 4))
        await pilot.mouse_up(chart, offset=(50, 4))
        assert chart.view.window.low < low

    on_screen(story)


def test_the_large_chart_goes_through_the_figures() -> None:
    finished_run()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("4")
        for name in ("general text", "learning rate", "gradient norm", "tokens per second", ""):
            await pilot.press("v")
            assert main_chart(app).heading == name
            assert name in text_of(app)

    on_screen(story)


def test_pinned_runs_are_drawn_over_it() -> None:
    three_runs()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("p", "j", "p", "j", "4")
        names = [line.name for line in pane(app).main_lines()]
        assert names == ["stopped", "failed", "train", "val"]
        assert "━ stopped" in text_of(app)

    on_screen(story, (100, 30))


def test_answers_events_and_log_take_turns() -> None:
    finished_run()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("4", "e")
        assert "e Notes 1 " in text_of(app)
        assert "! a duplicate \\x1b]0;owned\\x07[bold red]x[/] \\u202e" in text_of(app)
        await pilot.press("w")
        assert "line 39 of the log \\x1b]0;owned" in text_of(app) and "following" in text_of(app)
        await pilot.press("a")
        assert "answer at 100" in text_of(app)
        assert HOSTILE not in text_of(app)

    on_screen(story)


def test_the_log_follows_finds_and_tells_of_new_lines() -> None:
    run = finished_run()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("4", "w", "slash", *"line 7", "enter")
        log = app.query_one(LogView)
        assert log.cursor == 7 and not log.following
        await pilot.press("n")
        assert log.cursor == 7
        with open(run.log_file, "a") as file:
            file.write("one more line 7\n")
        await until(pilot, lambda: log.unseen == 1)
        assert "+1 new" in text_of(app)
        await pilot.press("n")
        assert log.cursor == 40
        await pilot.press("N", "slash", *"zzz", "enter")
        assert "is not in the log" in app.status.line
        await pilot.press("f")
        assert log.following and log.cursor == 40 and log.unseen == 0

    on_screen(story)


def test_the_chart_alone() -> None:
    finished_run()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("4")
        before = main_chart(app).size.height
        await pilot.press("b")
        await pilot.pause()
        assert main_chart(app).size.height > before
        assert "answer at" not in text_of(app)

    on_screen(story)


def test_stages_take_turns() -> None:
    run = stopped_run()
    log = EventLog(run.events_file)
    log.append(events.StageStarted(title="second"), "train:second")
    log.append(step(1, 10), "train:second")
    log.close()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("4")
        assert pane(app).stage == "train:second"
        await pilot.press("t")
        assert pane(app).stage == STAGE and "train sft: step 50" in text_of(app)
        log = EventLog(run.events_file)
        log.append(step(2, 10), "train:second")  # news of another stage takes nothing away
        await pilot.pause(1.0)
        assert pane(app).stage == STAGE
        log.append(events.StageStarted(title="third"), "train:third")
        log.append(step(1, 10), "train:third")
        await until(pilot, lambda: pane(app).stage == "train:third")

    on_screen(story)


def test_the_chart_is_saved_under_a_name_that_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    finished_run()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("4", "C", "enter")
        await until(pilot, lambda: app.status.line.startswith("saved "))
        await pilot.press("C")
        assert app.screen.query_one(Input).value == "finished-train-sft-2.svg"
        await pilot.press("ctrl+u", *"finished-train-sft.svg", "enter")
        assert "already exists" in text_of(app)
        await pilot.press("ctrl+u", *"all.csv", "enter")
        await until(pilot, lambda: app.status.line.endswith("all.csv"))

    on_screen(story)
    saved = (tmp_path / "finished-train-sft.svg").read_text()
    assert "finished, train:sft" in saved and "loss, nats per token" in saved
    rows = list(csv.DictReader((tmp_path / "all.csv").read_text().splitlines()))
    assert len(rows) == 100 and rows[8]["validation_loss"] == "" and rows[9]["validation_loss"]
    assert float(rows[99]["loss"]) == pytest.approx(0.3841, abs=1e-3)


def test_curves_in_blocks_and_in_dots_again() -> None:
    finished_run()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("4", "full_stop")
        assert "▄" in text_of(app) and app.memory.marks == "blocks"
        await pilot.press("full_stop")
        assert "▄" not in text_of(app) and app.memory.marks == "dots"

    on_screen(story)


def test_without_curves_there_is_nothing_to_save() -> None:
    make_run(runs_root(), "new")

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("4", "C")
        assert not app.screen.query(Input)

    on_screen(story)


def test_stop_checkpoint_and_resume_of_a_run_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "WORKER", FAKE_WORKER)
    run = stopped_run()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("4", "r")
        await until(pilot, lambda: app.watching.at_work(run))
        await pilot.press("c")
        assert "will save a checkpoint" in app.status.line
        await until(pilot, lambda: app.followed(run).state.stages[STAGE].saved_step == 20)
        await pilot.pause(0.6)
        assert "running" in text_of(app) and "20%" in text_of(app)
        await pilot.press("s")
        await until(pilot, lambda: not app.watching.at_work(run))

    on_screen(story)


def test_new_steps_appear_by_themselves_and_nothing_is_drawn_without_news() -> None:
    run = stopped_run(at=20)

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("4")
        await pilot.pause(0.7)
        drawn = main_chart(app).drawn
        await pilot.pause(0.7)
        assert main_chart(app).drawn == drawn
        log = EventLog(run.events_file)
        log.append(step(21, 100, loss=1.5), STAGE)
        await until(pilot, lambda: "step 21/100" in text_of(app))
        assert main_chart(app).drawn == drawn + 1

    on_screen(story)


def test_a_note_of_several_lines_counts_once() -> None:
    run = stopped_run()
    log = EventLog(run.events_file)
    log.append(events.Note(message="word " * 60, level="note"), STAGE)
    log.close()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("4", "e")
        assert "e Notes 2 " in text_of(app) and text_of(app).count(" word word") > 3

    on_screen(story)


def test_a_run_that_has_not_begun_says_how_to_begin() -> None:
    make_run(runs_root(), "new")

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("4")
        assert "this run has not started; press r to start it" in text_of(app)
        assert "No samples in this stage yet" in text_of(app)
        await pilot.press("e")
        assert "e Notes  " in text_of(app) and "No notes or warnings." in text_of(app)

    on_screen(story)


def test_copy_of_the_figures() -> None:
    finished_run()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("4", "y")
        assert app.clipboard.startswith("step 100/100")

    on_screen(story)


def test_long_lines_are_broken_and_the_log_gives_a_line_to_copy() -> None:
    run = make_run(runs_root(), "wordy")
    log = EventLog(run.events_file)
    answer = " ".join(f"word{number}" for number in range(30))
    log.append(step(1, 10), STAGE)
    log.append(events.Sampled(step=1, prompt="?", answer=answer, stopped=True), STAGE)
    run.log_file.write_text("a long line " * 20 + "\n")

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("4")
        assert "word0 " in text_of(app) and "word29" in text_of(app)
        await pilot.press("w", "tab", "y")
        assert app.clipboard == ("a long line " * 20)

    on_screen(story)
