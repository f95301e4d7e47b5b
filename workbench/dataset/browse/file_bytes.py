"""A file's bytes by their offset, for as long as it is the same file.

Read with `pread`, never mapped: a file that shrinks under a map kills the process. A file that was
replaced, or lost what is asked for, raises ChangedError instead of giving other bytes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from workbench.dataset.readers.lines import open_regular
from workbench.dataset.rows import Fault

ENDS_BYTES = 4096


class ChangedError(Exception):
    """The file no longer holds what it held."""


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What tells a file from a later one at its path."""

    device: int
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> FileIdentity:
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


class RawFile:
    """`read` as it was when this was made; `keep` holds it open, which few files can be."""

    def __init__(self, path: Path, *, keep: bool = True) -> None:
        """Raises ChangedError for what is no ordinary file, or cannot be opened."""
        self.path, self._keep = path, keep
        self._file = self._opened()
        self.stamp = FileIdentity.of(os.fstat(self._file.fileno()))
        self._known = (0, b"")
        if not keep:
            self._file.close()

    def read(self, n_bytes: int, offset: int) -> bytes:
        """As many of the bytes as there are. Raises ChangedError when the file is another one."""
        if self._keep:
            if self._file.closed:
                raise ChangedError
            return os.pread(self._file.fileno(), n_bytes, offset)
        with self._opened() as file:
            found = FileIdentity.of(os.fstat(file.fileno()))
            if (found.device, found.inode) != (self.stamp.device, self.stamp.inode):
                raise ChangedError
            return os.pread(file.fileno(), n_bytes, offset)

    def remember(self, size: int) -> None:
        """All up to `size` is known: what stands at its ends is what `news` compares."""
        self._known = (size, self._ends(size))

    def news(self) -> Literal["", "grown", "other"]:
        """Whether there is more behind what is known, or anything else is new."""
        try:
            now = FileIdentity.of(os.stat(self.path))
        except OSError:
            return "other"
        before, self.stamp = self.stamp, now
        if now == before:
            return ""
        same_file = (now.device, now.inode) == (before.device, before.inode)
        size, ends = self._known
        larger = now.size > before.size and now.size >= size
        return "grown" if same_file and larger and self._ends(size) == ends else "other"

    def close(self) -> None:
        self._file.close()

    def _ends(self, size: int) -> bytes:
        start = max(0, size - ENDS_BYTES)
        return self.read(min(size, ENDS_BYTES), 0) + self.read(size - start, start)

    def _opened(self) -> BinaryIO:
        found = open_regular(self.path)
        if isinstance(found, Fault):
            raise ChangedError(found.message)
        return found
