"""A real terminal is left clean, whatever prints and however the screen ends."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.run.helpers import make_run
from tests.tui.pty_screen import PtyScreen
from workbench.run import launch, lock
from workbench.run.folder import runs_root

LEFT_ALTERNATE_SCREEN = b"\x1b[?1049l"
MOUSE_OFF = b"\x1b[?1003l"
NOISE = """
import ctypes, os, subprocess, sys
from workbench.tui import app as module

def noise(self):
    os.write(1, b"NOISE one\\n")
    os.write(2, b"NOISE two\\n")
    libc = ctypes.CDLL(None)
    libc.printf(b"NOISE three\\n")
    libc.fflush(None)
    print("NOISE four")
    subprocess.run(["sh", "-c", "echo NOISE five; echo NOISE six >&2"], stdin=subprocess.DEVNULL)
    self.say("said it all")

module.WorkbenchApp.on_ready = noise
sys.exit(module.main())
"""
FAKE_WORKER = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))


def test_nothing_that_prints_reaches_the_screen(tmp_path: Path) -> None:
    screen = PtyScreen(NOISE)
    screen.until(b"said it all")
    screen.type("q")
    assert screen.end() == 0
    assert b"NOISE" not in screen.output
    log = (tmp_path / "state" / "workbench" / "screen.log").read_text()
    assert all(f"NOISE {word}" in log for word in ("one", "two", "three", "five", "six"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_clean(number: signal.Signals) -> None:
    screen = PtyScreen()
    screen.until(b"No runs here yet")
    os.kill(screen.process.pid, number)
    assert screen.end() == 128 + number
    assert LEFT_ALTERNATE_SCREEN in screen.output and MOUSE_OFF in screen.output


def test_a_lost_line_ends_the_screen_and_not_the_worker() -> None:
    run = make_run(runs_root(), "alive")
    process = launch.start(run, worker=FAKE_WORKER)
    screen = PtyScreen()
    screen.until(b"1 at work")
    screen.close()
    screen.process.wait(timeout=20)
    time.sleep(0.2)
    assert lock.owner(run.lock_file) is not None
    again = PtyScreen()
    again.until(b"1 at work")
    again.type("q")
    assert again.end() == 0
    launch.stop(run, limit_s=20)
    process.wait()


def test_a_screen_without_news_writes_nothing() -> None:
    screen = PtyScreen()
    screen.until(b"No runs here yet")
    screen.read(1.0)
    assert screen.read(1.5) == b""
    screen.type("q")
    assert screen.end() == 0


def test_workbench_without_arguments_opens_it() -> None:
    screen = PtyScreen("import sys; from workbench.cli import main; sys.exit(main([]))")
    screen.until(b"No runs here yet")
    screen.type("q")
    assert screen.end() == 0
