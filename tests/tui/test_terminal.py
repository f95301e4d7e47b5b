"""A real terminal is left clean, whatever prints and however the screen ends."""

from __future__ import annotations

import os
import re
import signal
import termios
from pathlib import Path

import pytest

from tests.run.helpers import make_run
from tests.tui.pty_screen import PtyScreen
from workbench import __version__
from workbench.run.folder import runs_root
from workbench.tui.terminal import RESET

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
HANGS = """
import sys, time
from workbench.tui import app as module

def hang(self):
    self.say("about to hang")
    self.set_timer(0.3, lambda: time.sleep(60))

module.WorkbenchApp.on_ready = hang
sys.exit(module.main())
"""
EARLY = """
import os, signal, sys
from workbench.tui import app as module

module.WorkbenchApp.run = lambda self: os.kill(os.getpid(), signal.SIGTERM)
sys.exit(module.main())
"""
FAULT = """
import sys
from workbench.tui import app as module

def fail(self):
    raise ZeroDivisionError("bug")

module.WorkbenchApp.on_ready = lambda self: self.set_timer(0.1, lambda: fail(self))
sys.exit(module.main())
"""


def test_nothing_that_prints_reaches_the_screen(tmp_path: Path) -> None:
    screen = PtyScreen(NOISE)
    screen.until(b"said it all")
    assert screen.lines()[2] == "  No runs yet."
    screen.type("q")
    assert screen.end() == 0
    assert b"NOISE" not in screen.output
    log = (tmp_path / "state" / "workbench" / "screen.log").read_text()
    assert all(f"NOISE {word}" in log for word in ("one", "two", "three", "five", "six"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_the_terminal_clean(number: signal.Signals) -> None:
    screen = PtyScreen()
    before = termios.tcgetattr(screen.master)
    screen.until(b"No runs yet")
    assert termios.tcgetattr(screen.master) != before
    os.kill(screen.process.pid, number)
    assert screen.wait() == 128 + number
    assert LEFT_ALTERNATE_SCREEN in screen.output and MOUSE_OFF in screen.output
    assert termios.tcgetattr(screen.master) == before
    screen.close()


def test_a_screen_that_hangs_is_ended_and_the_terminal_put_back(tmp_path: Path) -> None:
    screen = PtyScreen(HANGS)
    before = termios.tcgetattr(screen.master)
    screen.until(b"about to hang")
    screen.read(0.5)
    os.kill(screen.process.pid, signal.SIGTERM)
    assert screen.wait() == 128 + signal.SIGTERM
    assert screen.output.endswith(RESET)
    assert termios.tcgetattr(screen.master) == before
    assert (tmp_path / "state" / "workbench" / "screen.json").exists()
    screen.close()


def test_a_signal_before_the_first_picture_writes_nothing() -> None:
    screen = PtyScreen(EARLY)
    assert screen.wait() == 128 + signal.SIGTERM
    assert screen.output == b""
    screen.close()


def test_a_fault_that_ends_the_screen_is_told_below_it() -> None:
    screen = PtyScreen(FAULT)
    assert screen.end() == 1
    after = screen.output.rpartition(LEFT_ALTERNATE_SCREEN)[2]
    assert b"internal error: ZeroDivisionError('bug')" in after


def test_a_line_without_hang_up_signal_is_noticed() -> None:
    """As under nohup, or where the shell has taken the signal."""
    screen = PtyScreen(controlling=False)
    screen.until(b"No runs yet")
    screen.close()
    assert screen.process.wait(timeout=20) == 128 + signal.SIGHUP


def test_a_size_in_the_environment_does_not_hold_up_a_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    screen = PtyScreen()
    screen.until(b"No runs yet")
    screen.resize(160, 40)
    screen.until(b"learning rate")  # only a wide screen has room for it
    screen.read(0.5)
    assert screen.lines()[0].rstrip().endswith("workbench " + __version__)
    assert len(screen.lines()[0]) == 159
    screen.type("q")
    assert screen.end() == 0


def test_no_colour_means_none_and_the_cursor_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    make_run(runs_root(), "one")
    screen = PtyScreen()
    screen.until(b"one")
    screen.type("?")
    screen.until(b"Everywhere")
    screen.type("qq")
    assert screen.end() == 0
    codes = {
        code
        for found in re.findall(rb"\x1b\[([0-9;]*)m", screen.output)
        for code in found.split(b";")
    }
    assert codes <= {b"", b"0", b"1", b"2", b"7", b"39", b"49"}, codes
    assert re.search(rb"\x1b\[[0-9;]*7m[^\x1b]*(\x1b\[3?4?9m)*[^\x1b]*one", screen.output)


def test_a_screen_without_news_writes_nothing() -> None:
    screen = PtyScreen()
    screen.until(b"No runs yet")
    screen.read(1.0)
    assert screen.read(1.0) == b""
    screen.type("/")  # a cursor that blinks would be news
    screen.until(b"Show runs")
    screen.read(0.5)
    assert screen.read(1.2) == b""
    screen.type("\x1b")
    screen.read(0.3)
    screen.type("q")
    assert screen.end() == 0


def test_workbench_without_arguments_opens_it() -> None:
    screen = PtyScreen("import sys; from workbench.cli import main; sys.exit(main([]))")
    screen.until(b"No runs yet")
    screen.type("q")
    assert screen.end() == 0
