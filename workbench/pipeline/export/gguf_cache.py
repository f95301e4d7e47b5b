"""GGUF files that are kept to be used again, found by the content of what they were made of.

`$XDG_CACHE_HOME/workbench/models`. One process writes at a time; a file there is whole. What was
not used for longest goes first when the limit is passed. All of it may be deleted at any time.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.core import files
from workbench.core.paths import cache_folder

LIMIT_BYTES = 24 << 30
KEY_DIGITS = 24
MAX_REMEMBERED = 200


def models_folder() -> Path:
    """`models` in the workbench's cache."""
    return cache_folder() / "models"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Held by one process at a time; what an earlier one left half-written is swept away."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(folder / "lock", "a") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        files.sweep(folder)
        yield


def key_of(parts: Sequence[Any]) -> str:
    """A name for what was made of `parts` (JSON values)."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]


def content_of(folder: Path, names: Sequence[str], memory: Path) -> dict[str, str]:
    """SHA-256 of the folder's files that match one of the patterns in `names`.

    A folder of ours has them in its manifest; hashes of others are remembered in `memory` for as
    long as the file's size and time stay.
    """
    manifest = _manifest(folder)
    paths = sorted({path for name in names for path in folder.glob(name) if path.is_file()})
    known = {path.name: entry["sha256"] for path in paths if (entry := manifest.get(path.name))}
    return {path.name: known.get(path.name) or _remembered(path, memory) for path in paths}


def use(path: Path) -> bool:
    """Whether it is there; if so it counts as used now."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def prune(folder: Path, keep: Path, limit_bytes: int = LIMIT_BYTES) -> None:
    """Remove the GGUF files used longest ago until the rest, `keep` among them, fits the limit."""
    there = [(path, path.stat()) for path in folder.glob("*.gguf")]
    there.sort(key=lambda pair: (pair[0] == keep, pair[1].st_mtime_ns))
    total = sum(status.st_size for _, status in there)
    for path, status in there:
        if total <= limit_bytes or path == keep:
            return
        path.unlink(missing_ok=True)
        path.with_suffix(".json").unlink(missing_ok=True)
        total -= status.st_size


def _manifest(folder: Path) -> dict[str, dict[str, Any]]:
    try:
        entries = json.loads((folder / "manifest.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}


def _remembered(path: Path, memory: Path) -> str:
    status = path.stat()
    found = [status.st_size, status.st_mtime_ns]
    try:
        known = json.loads(memory.read_bytes())
    except (OSError, ValueError):
        known = {}
    place = str(path.resolve())
    entry = known.get(place) if isinstance(known, dict) else None
    if isinstance(entry, list) and entry[:2] == found:
        return str(entry[2])
    known = dict(list(known.items())[-MAX_REMEMBERED:]) if isinstance(known, dict) else {}
    known[place] = [*found, files.sha256(path)]
    files.write_json(memory, known)
    return str(known[place][2])
