"""Results on disk, one JSON object a line, behind a first line that says what they belong to.

A line counts once its newline is there: what a kill cut off is made again. Lines behind another
first line than the one that is asked for are replaced, never mixed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from workbench.core import files


def read_kept(path: Path, head: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects in `path`, if its first line equals `head`; else none."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return []
    lines = raw[: raw.rfind(b"\n") + 1].splitlines()
    values = [value for value in map(_object, lines) if value is not None]
    return values[1:] if values and values[0] == head else []


class Appender:
    """Appends objects to a file that begins with `head`; a torn last line is cut off first."""

    def __init__(self, path: Path, head: dict[str, Any], *, fresh: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if fresh:
            files.write_atomic(path, _line(head))
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        whole = path.read_bytes().rfind(b"\n") + 1
        os.ftruncate(self._fd, whole)
        self._end = os.lseek(self._fd, whole, os.SEEK_SET)

    def append(self, value: dict[str, Any]) -> None:
        line = _line(value).encode()
        try:
            files.write_all(self._fd, line)
        except OSError:
            os.ftruncate(self._fd, self._end)
            raise
        self._end += len(line)

    def __enter__(self) -> Appender:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._fd)


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"
