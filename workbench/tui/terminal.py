"""The terminal: native output goes to a file, every end restores it, $EDITOR borrows it.

Textual gets its own descriptors; 1 and 2 then point to a log, so that nothing a library or a child
prints can reach the screen (under `textual serve` standard output is the protocol itself). A
hang-up, SIGTERM and SIGINT leave as `q` does. A lost connection without any signal is noticed too,
by a thread that sleeps until then. What does not end by itself is ended after a second, and the
terminal restored.
"""

from __future__ import annotations

import io
import os
import select
import shlex
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from textual.app import App, SuspendNotSupported

from workbench.core.errors import UserError

LEAVE_LIMIT_S = 1.0
ENDINGS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
# Mouse, focus and size reports and bracketed paste off, the keyboard as it was, lines that wrap,
# the ordinary screen, a cursor: all that Textual switches, switched back.
RESET = (
    b"\x1b[?1000l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1016l\x1b[?1004l\x1b[?2004l\x1b[?2048l"
    b"\x1b[<u\x1b[?7h\x1b[?1049l\x1b[0m\x1b[?25h"
)


@contextmanager
def guarded(app: App[None], folder: Path, keep: Callable[[], None]) -> Iterator[None]:
    """Hold the terminal for the app; all is as before afterwards.

    What is printed meanwhile goes to `screen.log` in `folder`. `keep` saves what shall outlive
    an end for which the app had no time.
    """
    if sys.stdin.isatty():  # exported, these would hold the size of the beginning
        os.environ.pop("COLUMNS", None), os.environ.pop("LINES", None)
    kept, log = (os.dup(1), os.dup(2)), _open_log(folder)
    streams, before = (sys.__stdout__, sys.__stderr__), [signal.getsignal(one) for one in ENDINGS]
    ours = _file(kept[0]), _file(kept[1])
    try:
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.__stdout__, sys.__stderr__ = ours  # type: ignore[misc]
        leave = _Leaver(app, keep, kept[1])
        for number in ENDINGS:
            signal.signal(number, leave)
        threading.Thread(target=_watch_line, name="line", daemon=True).start()
        yield
    finally:
        sys.__stdout__, sys.__stderr__ = streams  # type: ignore[misc]
        for number, handler in zip(ENDINGS, before, strict=True):
            signal.signal(number, handler)
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        for file in ours:
            file.close()
        for fd in (*kept, log):
            os.close(fd)


class _Leaver:
    """The handler of the signals that end the screen: as `q` does, or after a second anyway."""

    def __init__(self, app: App[None], keep: Callable[[], None], terminal: int) -> None:
        self._app, self._keep, self._terminal = app, keep, terminal
        self._mode = _mode()
        self._leaving = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._leaving:
            return
        self._leaving = True
        signal.signal(signal.SIGALRM, lambda *_: self._end(number))
        if self._app.is_running:
            signal.setitimer(signal.ITIMER_REAL, LEAVE_LIMIT_S)
            self._app.call_later(self._app.exit, return_code=128 + number)
        else:
            self._end(number)

    def _end(self, number: int) -> None:
        """At once. A terminal that takes nothing any more must not hold us up."""
        with suppress(Exception):
            self._keep()
        if self._app._driver is not None:
            with suppress(OSError, termios.error):
                os.set_blocking(self._terminal, False)
                os.write(self._terminal, RESET)
                os.set_blocking(self._terminal, True)
                termios.tcsetattr(0, termios.TCSANOW, self._mode)
        os._exit(128 + number)


class _Line(io.FileIO):
    """The terminal as a file; once the line is gone, what is written to it is too.

    Textual's writer would die of the error, and the app wait for the dead for ever.
    """

    def write(self, data: object) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError:
            return len(data)  # type: ignore[arg-type]


def _file(fd: int) -> io.TextIOWrapper:
    raw = io.BufferedWriter(_Line(fd, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding="utf-8", errors="replace")


def _watch_line() -> None:
    """Sleep until the other side of the terminal is closed, then hang up."""
    line = select.poll()
    line.register(0, 0)  # nothing is asked for: only its end wakes us
    if any(event & (select.POLLHUP | select.POLLERR) for _, event in line.poll()):
        os.kill(os.getpid(), signal.SIGHUP)


def _mode() -> list[Any]:
    try:
        return termios.tcgetattr(0)
    except termios.error:  # no terminal: a browser
        return []


def _open_log(folder: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(folder / "screen.log", flags, 0o600)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)


FALLBACK = "vi"
WITH_COLON = ("code", "codium", "subl", "hx", "zed", "micro")


def edit(app: App[None], path: Path, line: int = 1) -> None:
    """Open `path` in the person's editor and wait for its end. Raises UserError when it fails."""
    words = command(path, line)
    try:
        with app.suspend():
            status = _run(words)
    except SuspendNotSupported:
        raise UserError("this terminal cannot start an editor") from None
    except FileNotFoundError:
        raise UserError(f"editor not found: '{words[0]}'", hint="set $EDITOR to yours") from None
    if status:
        raise UserError(f"the editor '{words[0]}' ended with exit status {status}")


def command(path: Path, line: int) -> list[str]:
    """The words of the command: `$VISUAL`, `$EDITOR` or vi, with the line as it takes it."""
    set_one = os.environ.get("VISUAL") or os.environ.get("EDITOR") or FALLBACK
    try:
        words = shlex.split(set_one)
    except ValueError:
        raise UserError(f"$EDITOR is not a valid command: {set_one}") from None
    name = Path(words[0]).name if words else ""
    if name in ("code", "codium"):
        return [*words, "--wait", "--goto", f"{path}:{line}"]
    if name in WITH_COLON:
        return [*words, f"{path}:{line}"]
    return [*words, f"+{line}", str(path)]


def _run(words: list[str]) -> int:
    """The editor has the terminal itself: our own descriptors 1 and 2 point at a log."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done = subprocess.run(
            words, stdin=sys.__stdin__, stdout=sys.__stdout__, stderr=sys.__stderr__, check=False
        )
    finally:
        signal.signal(signal.SIGINT, before)
    return done.returncode
