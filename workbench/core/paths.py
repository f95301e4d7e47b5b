"""Where the workbench keeps what belongs to no run.

What is in the cache folder can be deleted at any time: it is made again when it is next needed.
"""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/workbench`, or `~/.cache/workbench`. It may not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "workbench"


def state_folder() -> Path:
    """`$XDG_STATE_HOME/workbench`, or `~/.local/state/workbench`."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "state") / "workbench"
