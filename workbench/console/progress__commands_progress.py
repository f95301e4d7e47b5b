"""A count of what is done, on one line of a terminal that rewrites itself; nothing elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

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
