"""Rows of a source that cannot be cut at bytes, written down as they are read, to be found again.

One JSON line for every entry, in a file without a name: when the last process that holds it is
gone, so is the file. The one that reads the source writes, the screen reads behind it. Documents
are kept only as far as anybody would look at them.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import asdict, replace
from typing import BinaryIO, cast

from workbench.core.files import write_all
from workbench.dataset.browse.file_bytes import ChangedError
from workbench.dataset.browse.record_index import Index
from workbench.dataset.rows import Fault, Place, Row

MAX_TEXT_CHARS = 1 << 20
BATCH_BYTES = 1 << 20


def make() -> BinaryIO:
    """A new one, empty."""
    return cast(BinaryIO, tempfile.TemporaryFile(prefix="workbench-"))


class Writer:
    """Adds entries to the spool at a file descriptor; at most half of what the disk has free."""

    def __init__(self, fd: int) -> None:
        self._fd, self._lines = fd, bytearray()
        self._room = shutil.disk_usage(tempfile.gettempdir()).free // 2
        self.full = False

    def add(self, entry: Row | Fault) -> None:
        """One entry more; nothing once the spool is `full`."""
        if self.full:
            return
        self._lines += json.dumps(_plain(entry)).encode() + b"\n"
        if len(self._lines) > BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what was added."""
        self._room -= len(self._lines)
        try:
            if self._room >= 0:
                write_all(self._fd, bytes(self._lines))
        except OSError:
            self._room = -1
        self.full = self._room < 0
        self._lines.clear()


class Spool:
    """The reading side: as `records.Records`, for all files of the source together."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.index = Index(self._read)

    def __len__(self) -> int:
        return len(self.index)

    def extend(self) -> bool:
        """Index a little more; False at the end of what is written so far."""
        return self.index.extend()

    def entry(self, number: int) -> Row | Fault:
        """The entry at `number`, from 0."""
        span = self.index.span(number)
        value = json.loads(self._read(span.end - span.start, span.start))
        if "code" not in value:
            return Row.from_json(value)
        return Fault(**value | {"place": Place(**value["place"])})

    def entries(self, number: int, count: int) -> list[Row | Fault]:
        """The entry at `number` and those behind it, `count` in all where there are as many."""
        return [self.entry(other) for other in range(number, min(number + count, len(self)))]

    def left_out(self, number: int) -> int:
        """Bytes at the end of a record that `entry` does not look at."""
        return 0

    def close(self) -> None:
        self._file.close()

    def _read(self, n_bytes: int, offset: int) -> bytes:
        if self._file.closed:
            raise ChangedError
        return os.pread(self._file.fileno(), n_bytes, offset)


def _plain(entry: Row | Fault) -> dict[str, object]:
    if isinstance(entry, Fault):
        return asdict(entry)
    if len(entry.text) > MAX_TEXT_CHARS:
        entry = replace(entry, text=entry.text[:MAX_TEXT_CHARS])
    return entry.to_json()
