"""The line is cut at any moment: the worker goes on, and a new screen has the whole curve."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import stat
import sys
import time
from pathlib import Path

import pytest

from tests.run.helpers import make_run
from tests.tui.pty_screen import PtyScreen
from workbench.core.paths import state_folder
from workbench.run import launch, lock
from workbench.run.folder import RunFolder, runs_root
from workbench.tui.saved_state import SavedState, save_state

FAKE_WORKER = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))
STARTS_A_WORKER = f"""
import sys
from pathlib import Path
from workbench.run import launch
from workbench.run.folder import RunFolder
from workbench.tui import app as module

launch.WORKER = {FAKE_WORKER!r}
run = RunFolder(Path(PATH))
module.WorkbenchApp.on_ready = lambda self: self.steer.resume(run)
sys.exit(module.main())
"""
LATEST_CUT_S = 1.2  # after the worker has begun; by then the screen has painted many times


@pytest.fixture(autouse=True)
def steady(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STORY", "steady")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("by_screen", [False, True])
def test_the_worker_outlives_the_line_and_a_new_screen_has_all_of_its_curve(
    by_screen: bool,
) -> None:
    cut_and_come_back(by_screen, random.Random(by_screen))


@pytest.mark.faults
def test_twenty_cuts_at_random_moments() -> None:
    chance = random.Random(20)
    for number in range(20):
        cut_and_come_back(number % 2 == 1, chance)


def cut_and_come_back(by_screen: bool, chance: random.Random) -> None:
    """One hang-up of a screen that watches a worker, or that has started it itself."""
    run = make_run(runs_root(), f"cut-{chance.random()}")
    save_state(state_folder(), SavedState(pane="train", run=str(run.path)))
    if by_screen:
        screen = PtyScreen(STARTS_A_WORKER.replace("PATH", repr(str(run.path))))
        await_worker(run)
    else:
        worker = launch.start(run, worker=FAKE_WORKER)
        screen = PtyScreen()
    time.sleep(chance.uniform(0, LATEST_CUT_S))
    screen.read(0.01)
    screen.close()
    assert screen.process.wait(timeout=20) in (128 + signal.SIGHUP, -signal.SIGHUP)
    assert_untouched(run)
    drawn = curve_of_a_new_screen(run)
    assert drawn == logged(run)
    if not by_screen:
        worker.wait(timeout=20)


def await_worker(run: RunFolder) -> None:
    until = time.monotonic() + 30
    while not lock.owner(run.lock_file):
        assert time.monotonic() < until, "the screen has started no worker"
        time.sleep(0.01)


def assert_untouched(run: RunFolder) -> None:
    """The worker is alive, writes on, and holds neither a terminal nor a pipe."""
    owner = lock.owner(run.lock_file)
    assert owner is not None
    for fd in range(3):
        mode = os.stat(f"/proc/{owner.pid}/fd/{fd}")
        is_null = os.path.samestat(mode, os.stat(os.devnull))
        assert is_null or stat.S_ISREG(mode.st_mode), os.readlink(f"/proc/{owner.pid}/fd/{fd}")
    before, until = run.events_file.stat().st_size, time.monotonic() + 20
    while run.events_file.stat().st_size <= before:
        assert time.monotonic() < until, "the worker writes no more"
        time.sleep(0.01)


def curve_of_a_new_screen(run: RunFolder) -> list[tuple[int, float]]:
    """Attach again, see the run at work, stop it, and have the screen save what it has drawn."""
    screen = PtyScreen()
    screen.until(b"running")
    launch.stop(run, limit_s=20)
    screen.until(b"stopped")
    screen.type("C\x15curve.csv\r")  # ctrl+u empties the line
    screen.until(b"saved")
    screen.type("q")
    assert screen.end() == 0
    path = Path("curve.csv")
    with open(path, newline="") as file:
        drawn = [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(file)]
    path.unlink()
    return drawn


def logged(run: RunFolder) -> list[tuple[int, float]]:
    """Step and loss of every step in the log, read without any code of ours."""
    records = [json.loads(line) for line in run.events_file.read_bytes().splitlines()]
    return [(one["step"], one["loss"]) for one in records if one["kind"] == "step"]
