"""What the screen remembers from one time to the next: theme, last place, chart settings.

A small JSON file below `$XDG_STATE_HOME`; a damaged or absent one means the defaults, and a disk
that cannot be written is no reason to fail.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from workbench.core.files import write_json


@dataclass
class SavedState:
    """`smoothing` is the weight of the past, 0 to 0.99; `run` is a folder's path,
    `preset` a name or a file's path. `pinned` are folders of runs. `marks` is "dots", "blocks",
    or "" for what the terminal can show."""

    theme: str = ""
    pane: str = "runs"
    run: str = ""
    smoothing: float = 0.6
    log_y: bool = False
    preset: str = ""
    data: str = ""
    corrections: str = ""
    zoomed: bool = False
    pinned: list[str] = field(default_factory=list)
    marks: str = ""


def keymap_file() -> Path:
    """`$XDG_CONFIG_HOME/workbench/keys.toml`, or below `~/.config`."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base else Path.home() / ".config") / "workbench" / "keys.toml"


def load_state(folder: Path) -> SavedState:
    """What was remembered; fields of another type count as absent."""
    try:
        found = json.loads((folder / "screen.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return SavedState()
    memory = SavedState()
    for one in fields(SavedState):
        _take(memory, one.name, found.get(one.name) if isinstance(found, dict) else None)
    return memory


def save_state(folder: Path, memory: SavedState) -> None:
    """Write it; quietly nothing where that cannot be."""
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "screen.json", asdict(memory))


def _take(memory: SavedState, name: str, value: Any) -> None:
    if type(value) is type(getattr(memory, name)):
        setattr(memory, name, value)
