"""Every action of the Runs pane, as a person presses it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.run.helpers import make_run
from tests.tui.helpers import on_screen, text_of, three_runs, until
from workbench.run import launch, lock
from workbench.run.folder import RunFolder, list_runs, runs_root
from workbench.tui.app import WorkbenchApp
from workbench.tui.dialogs.comparison import Compare
from workbench.tui.dialogs.dialog import Confirm, Entry
from workbench.tui.dialogs.picker import Picker
from workbench.tui.panes.runs.run_table import RunTable, bar

FAKE_WORKER = (sys.executable, str(Path(__file__).parents[2] / "fake_worker.py"))


@pytest.fixture(autouse=True)
def no_real_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "WORKER", FAKE_WORKER)


def end_worker(run: RunFolder) -> None:
    launch.stop(run, limit_s=20)


def at_work(run: RunFolder) -> bool:
    return lock.owner(run.lock_file) is not None


def test_the_list_tells_state_stage_and_best_loss() -> None:
    three_runs()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        text = text_of(app)
        names = [line[4:12].strip() for line in text.split("\n")[2:5]]
        assert names == ["stopped", "failed", "finished"]
        assert "■" in text and "✗" in text and "✓" in text
        assert "train sft" in text and "5 min" in text and "0.531" in text

    on_screen(story)


def test_moving_chooses_the_run_and_its_story_is_told() -> None:
    runs = three_runs()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        assert app.current == runs[2]
        await pilot.press("j", "j")
        assert app.current == runs[0]
        assert "✓ train sft" in text_of(app) and "workbench chat finished" in text_of(app)
        await pilot.press("up")
        assert "press r to resume: workbench resume failed" in text_of(app)
        assert "loss is not a number \\x1b]0;owned" in text_of(app)
        await pilot.press("G", "g")
        assert app.current == runs[2]

    on_screen(story)


def test_open_goes_to_train() -> None:
    three_runs()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("enter")
        assert app.pane_id == "train"
        await pilot.press("1")
        await pilot.click(RunTable, offset=(10, 1), times=2)
        await pilot.pause()
        assert app.pane_id == "train" and app.current and app.current.name == "failed"

    on_screen(story)


def test_pin_up_to_three_and_take_off() -> None:
    three_runs()
    make_run(runs_root(), "fourth")

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("p", "j", "p", "j", "p", "j", "p")
        assert len(app.pinned) == 3 and "3 runs are already pinned" in app.status.line
        await pilot.press("g", "p")
        assert len(app.pinned) == 2

    on_screen(story)


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (160, 48)])
def test_pinned_runs_are_compared_in_a_table(size: tuple[int, int]) -> None:
    three_runs()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("c")
        assert not isinstance(app.screen, Compare)
        await pilot.press("p", "j", "c")
        assert app.status.line == "workbench runs failed stopped"
        await until(pilot, lambda: "train sft" in text_of(app))
        text = text_of(app)
        assert "failed" in text and "stopped" in text and "\x1b" not in text
        await pilot.press("y")
        copied = (app.state_folder / "clipboard.txt").read_text()
        assert "train sft" in copied and "best validation loss" in copied
        await pilot.press("escape")
        assert not isinstance(app.screen, Compare)

    on_screen(story, size)


def test_find_narrows_the_list_and_empty_widens_it() -> None:
    three_runs()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("slash", *"FIN", "enter")
        assert [run.name for run in app.query_one(RunTable).runs] == ["finished"]
        assert app.current and app.current.name == "finished"
        await pilot.press("slash", *"xyz", "enter")
        assert "No run name contains 'FINxyz'" in text_of(app)
        await pilot.press("slash", *["backspace"] * 6, "enter")
        assert len(app.query_one(RunTable).runs) == 3

    on_screen(story)


def test_rename_checks_the_name_as_it_is_typed() -> None:
    runs = three_runs()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("R")
        assert isinstance(app.screen, Entry)
        await pilot.press("slash")
        assert "letters, digits" in text_of(app)
        await pilot.press("enter")
        assert isinstance(app.screen, Entry)
        await pilot.press("backspace", "2", "enter")
        assert app.current and app.current.name == "stopped2"
        assert app.status.line == f"mv {runs[2].path} {runs[2].path}2"
        assert "stopped2" in text_of(app)

    on_screen(story)


def test_delete_asks_and_no_is_no() -> None:
    runs = three_runs()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("d")
        assert isinstance(app.screen, Confirm) and "cannot be undone" in text_of(app)
        await pilot.press("n")
        assert runs[2].exists()
        await pilot.press("delete", "y")
        assert not runs[2].path.exists()
        assert app.current == runs[1]
        assert app.status.line == f"rm -r {runs[2].path}"

    on_screen(story)


def test_deleting_the_last_run_leaves_the_empty_state() -> None:
    make_run(runs_root(), "only")

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("d", "y")
        assert "No runs yet." in text_of(app) and app.current is None

    on_screen(story)


def test_resume_stop_and_what_a_run_at_work_allows() -> None:
    runs = three_runs()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("r")
        await until(pilot, lambda: app.watching.at_work(runs[2]))
        assert app.status.line == "workbench resume stopped --detach"
        await pilot.pause(0.3)
        text = text_of(app)
        assert "s Stop" in text and "r Resume" not in text and "1 running" in text
        await pilot.press("d")
        assert not isinstance(app.screen, Confirm)
        await pilot.press("s")
        assert app.status.line == "workbench stop stopped"
        await until(pilot, lambda: not app.watching.at_work(runs[2]))
        assert app.watching.glance(runs[2]).standing == "stopped"

    on_screen(story)


def test_stop_at_once_asks_first() -> None:
    runs = three_runs()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("r")
        await until(pilot, lambda: app.watching.at_work(runs[2]))
        await pilot.press("K")
        assert isinstance(app.screen, Confirm)
        await pilot.press("y")
        await until(pilot, lambda: not at_work(runs[2]))
        await until(pilot, lambda: "signal 15" in app.status.line)

    on_screen(story)


def test_new_starts_a_run_from_a_preset_and_a_screen_that_leaves_lets_it_work() -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("n")
        assert isinstance(app.screen, Picker)
        await pilot.press(*"quick")
        assert "quickstart" in text_of(app) and "gemma" not in text_of(app)
        await pilot.press("enter")
        await until(pilot, lambda: app.status.line == "workbench --preset quickstart --detach", 30)
        assert app.current and app.current.name == "quickstart"
        assert app.watching.at_work(app.current)

    on_screen(story)
    run = list_runs(runs_root())[0]
    assert at_work(run) and run.preset_file.is_file()
    end_worker(run)


def test_a_preset_at_fault_is_one_line_and_makes_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "broken.toml").write_text('description = "x"\n[nonsense]\n')

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("n", *"broken", "enter")
        await until(pilot, lambda: "nonsense" in app.status.line, 30)

    on_screen(story)
    assert list_runs(runs_root()) == []


def test_a_worker_that_dies_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = three_runs()
    monkeypatch.setenv("STORY", "fails")

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("r")
        await until(pilot, lambda: "the disk is full" in app.status.line, 20)
        assert app.watching.glance(runs[2]).standing == "died"

    on_screen(story)


def test_a_run_that_somebody_else_works_on_cannot_be_renamed() -> None:
    runs = three_runs()
    process = launch.start(runs[2], worker=FAKE_WORKER)

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await until(pilot, lambda: app.watching.at_work(runs[2]))
        await pilot.press("R")
        assert not isinstance(app.screen, Entry)

    on_screen(story)
    end_worker(runs[2])
    process.wait()


def test_bars() -> None:
    assert [bar(share, 4) for share in (0, 0.5, 0.53125, 1)] == ["    ", "██  ", "██▏ ", "████"]
