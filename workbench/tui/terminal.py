"""The terminal stays clean: what native code prints goes to a file, signals end the screen neatly.

Textual gets its own descriptor of the terminal; 1 and 2 then point at a log, so that nothing a
library or a child prints can reach the screen. A hang-up or SIGTERM leaves as `q` does: without
that the terminal would stay in its alternate screen with the mouse on.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from textual.app import App

LEAVE_LIMIT_S = 3


@contextmanager
def guarded(app: App[None], folder: Path) -> Iterator[None]:
    """Hold the terminal for the app; everything is as before afterwards."""
    kept = os.dup(1), os.dup(2)
    streams = sys.__stdout__, sys.__stderr__
    log = _open_log(folder)
    try:
        with (
            open(os.dup(kept[0]), "w", encoding="utf-8", errors="replace") as out,
            open(os.dup(kept[1]), "w", encoding="utf-8", errors="replace") as err,
        ):
            os.dup2(log, 1)
            os.dup2(log, 2)
            sys.__stdout__, sys.__stderr__ = out, err  # type: ignore[misc]
            for number in (signal.SIGHUP, signal.SIGTERM):
                signal.signal(number, _leaver(app))
            yield
    finally:
        sys.__stdout__, sys.__stderr__ = streams  # type: ignore[misc]
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        for fd in (*kept, log):
            os.close(fd)


def _leaver(app: App[None]) -> Callable[[int, FrameType | None], None]:
    def leave(number: int, frame: FrameType | None) -> None:
        """Leave as `q` does; should that hang (the line is gone), leave anyway."""
        signal.signal(signal.SIGALRM, lambda *_: os._exit(128 + number))
        signal.alarm(LEAVE_LIMIT_S)
        app.call_later(app.exit, return_code=128 + number)

    return leave


def _open_log(folder: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(folder / "screen.log", flags, 0o600)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)
