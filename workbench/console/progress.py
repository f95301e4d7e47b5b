"""A progress line that a terminal rewrites in place; silent if the output is not a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

from workbench.core.text import visible

CLEAR = "\r\x1b[2K"


class ProgressLine:
    """`show` a line as often as you like; `end` takes it away."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._drawn = out, ""

    def show(self, line: str) -> None:
        """Draw it, if it is another one and somebody can see it."""
        if self._out.isatty() and line != self._drawn:
            self._out.write(f"{CLEAR}  {visible(line)}")
            self._out.flush()
            self._drawn = line

    def end(self) -> None:
        """Leave the terminal's line empty."""
        if self._drawn:
            self._out.write(CLEAR)
            self._out.flush()
            self._drawn = ""


T = TypeVar("T")
EVERY_S = 0.25


def counted(things: Iterable[T], what: str) -> Iterator[T]:
    """`things`, with `12,345 WHAT` on stderr meanwhile, from the first quarter of a second on."""
    if not sys.stderr.isatty():
        yield from things
        return
    told_at, told = time.monotonic(), False
    for number, thing in enumerate(things, 1):
        if number % 64 == 0 and (now := time.monotonic()) - told_at > EVERY_S:
            told_at, told = now, True
            print(f"\r{number:,} {what}", end="", file=sys.stderr, flush=True)
        yield thing
    if told:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
