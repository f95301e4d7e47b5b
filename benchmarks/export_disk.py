"""What an export lays on the disk while it works, beyond the files that it is asked for."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

EVERY_S = 0.05


@dataclass
class Beside:
    """The most bytes that lay there at once in files that are neither results nor their `.part`."""

    peak_bytes: int = 0


@contextmanager
def watched(folders: Iterable[Path], results: Iterable[str]) -> Iterator[Beside]:
    """Look into the folders, and all below them, many times a second until the block ends."""
    seen, over = Beside(), threading.Event()
    own = {name for result in results for name in (result, f".{result}.part")}
    within = [str(folder) for folder in folders]

    def watch() -> None:
        while not over.wait(EVERY_S):
            seen.peak_bytes = max(seen.peak_bytes, sum(_beside(path, own) for path in within))

    thread = threading.Thread(target=watch, name="disk", daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def _beside(folder: str, own: set[str]) -> int:
    found = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                found += 0 if name in own else os.stat(os.path.join(place, name)).st_size
            except FileNotFoundError:
                continue  # gone since it was listed
    return found
