"""Python's garbage collector kept out of work that makes much and leaves no garbage.

Rows hold no cycles, and what is imported stays; the collector would walk all of it again and again,
which takes a third of the reading of rows and a fifth of importing torch and transformers.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """The collector is off within, and never looks at what was made when it ends well."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_on:
            gc.enable()
