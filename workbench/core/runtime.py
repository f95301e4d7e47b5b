"""The Python process: usable cores, and garbage collection paused for work that leaves no garbage.

Rows hold no cycles, and imported modules stay; the collector would walk all of them repeatedly,
which takes a third of the time of reading rows and a fifth of importing torch and transformers.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def garbage_collection_paused() -> Iterator[None]:
    """The collector is off within, and never looks at what was made when it ends well."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_on:
            gc.enable()


def usable_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
