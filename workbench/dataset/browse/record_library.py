"""All records of a source as one sequence, in the order of its files, whatever their number.

`extend` finds more records, a few at a time; the other methods answer from those found so far. If
a file cannot be split at byte offsets, a child process reads the source and spools its records;
its request describes the source in plain values. `record_at` reads one row by its number, without
those before it where possible.
"""

from __future__ import annotations

import os
import tempfile
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench.core.errors import UserError
from workbench.core.text import quantity
from workbench.dataset.browse import spool
from workbench.dataset.browse.file_bytes import ChangedError, FileIdentity, RawFile
from workbench.dataset.browse.records import Cut, Entry, Records, cut
from workbench.dataset.reader_options import PLAIN, ReaderOptions
from workbench.dataset.rows import Fault, Row, raise_faults
from workbench.dataset.sources import ReadPlan, iterate, plan_source

MAX_KEPT_OPEN = 64
MAX_WATCHED = 200
LINE_BITS = 40


class RecordLibrary:
    """`spooled` where the rows come through a spool, which somebody must fill: see `fd`."""

    def __init__(self, plan: ReadPlan, folder: Path, *, answers: bool = True) -> None:
        """`folder` is a place for copies of single records. Nothing of the files is kept but it."""
        self._files = _open(plan)
        self._parts: list[Records | spool.Spool] = []
        self.spooled = self._files is None
        if self._files is None:
            self._spool = spool.make()
            self._parts.append(spool.Spool(self._spool))
        else:
            self._parts += [Records(plan, file, how, answers, folder) for file, how in self._files]
        self._stamps = {path: _stamp(path) for path, _, _ in plan.files[-MAX_WATCHED:]}
        self._by_path = {str(f.path): n for n, (f, _) in enumerate(self._files or [])}
        self._bases = array("Q", [0])  # records before each part, as far as parts are known
        self.at_end = not self._parts

    def __len__(self) -> int:
        known = len(self._bases) - 1
        return self._bases[known] + (len(self._parts[known]) if self._parts else 0)

    @property
    def fd(self) -> int:
        """The file descriptor to which the spool is written."""
        return self._spool.fileno()

    def extend(self) -> bool:
        """Look a little further; False at the end of what there is now."""
        part = len(self._bases) - 1
        more = bool(self._parts) and self._parts[part].extend()
        if not more and part + 1 < len(self._parts):
            self._bases.append(self._bases[part] + len(self._parts[part]))
            more = True
        self.at_end = not more
        return more

    def entry(self, number: int) -> Entry:
        """The row at `number`, from 0, or what keeps it from being one."""
        part, within = self._find(number)
        return self._parts[part].entry(within)

    def entries(self, number: int, count: int) -> list[Entry]:
        """The entry at `number` and some behind it, at most `count` in all."""
        part, within = self._find(number)
        return self._parts[part].entries(within, count)

    def left_out(self, number: int) -> int:
        """Bytes at the end of a record that `entry` does not look at."""
        part, within = self._find(number)
        return self._parts[part].left_out(within)

    def key(self, path: str, line: int) -> int | None:
        """A number for a line of a file, or of the spool: `number_of` tells its record.

        Keys are in the order of the records, and stay what they are when a file grows.
        """
        part = 0 if self.spooled else self._by_path.get(path)
        return None if part is None else part << LINE_BITS | line

    def number_of(self, key: int) -> int | None:
        """The record at that line, None where it is not known."""
        part, line = key >> LINE_BITS, key & ((1 << LINE_BITS) - 1)
        if part >= len(self._bases):
            return None
        return self._bases[part] + self._parts[part].index.number_at(line)

    def news(self) -> str:
        """`""`, `grown` when the last file has more behind what it had, `other` for all else."""
        if self._files is None:
            same = all(_stamp(path) == stamp for path, stamp in self._stamps.items())
            return "" if same else "other"
        found = [file.news() for file, _ in self._files[-MAX_WATCHED:]]
        if "other" in found or "grown" in found[:-1]:
            return "other"
        return found[-1] if found else ""

    def close(self) -> None:
        """Give the files back; whatever is asked afterwards has changed."""
        for file, _ in self._files or []:
            file.close()
        if self.spooled:
            self._spool.close()

    def _find(self, number: int) -> tuple[int, int]:
        part = bisect_right(self._bases, number) - 1
        return part, number - self._bases[part]


def _stamp(path: Path) -> FileIdentity | None:
    try:
        return FileIdentity.of(os.stat(path))
    except OSError:
        return None


def _open(plan: ReadPlan) -> list[tuple[RawFile, Cut]] | None:
    """Every file with how it is cut; None where one cannot be."""
    found: list[tuple[RawFile, Cut]] = []
    keep = len(plan.files) <= MAX_KEPT_OPEN
    for path, format, _ in plan.files:
        opened = _open_one(path, format, plan.options, keep)
        if opened is None:
            for file, _ in found:
                file.close()
            return None
        found.append(opened)
    return found


def _open_one(
    path: Path, format: str, options: ReaderOptions, keep: bool
) -> tuple[RawFile, Cut] | None:
    try:
        file = RawFile(path, keep=keep)
    except ChangedError:
        return None
    how = cut(file, format, options)
    if how is None:
        file.close()
        return None
    return file, how


@dataclass(frozen=True)
class SourceRequest:
    """A file, folder or glob; `answers` is False where rows may end without one."""

    path: str
    format: str = "auto"
    answers: bool = True
    options: ReaderOptions = PLAIN

    def plan(self) -> ReadPlan:
        """The files with their formats. Raises UserError for a format that does not exist."""
        return plan_source(self.path, self.format, self.options)

    def entries(self) -> Iterator[Row | Fault]:
        """Everything that is read, streamed in order."""
        plan = self.plan()
        yield from plan.faults
        yield from iterate(plan, answers=self.answers)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SourceRequest:
        """The source that `to_json` gave."""
        options = dict(value["options"])
        options["suffixes"] = tuple(options["suffixes"])
        return cls(value["path"], value["format"], value["answers"], ReaderOptions(**options))


def record_at(source: SourceRequest, number: int) -> Row:
    """Row `number`, from 1; faulty rows count too. Raises UserError for one of those, or none."""
    plan = source.plan()
    raise_faults(plan.faults)
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        library = RecordLibrary(plan, Path(folder), answers=source.answers)
        try:
            entry, count = _streamed(source, number) if library.spooled else _cut(library, number)
        finally:
            library.close()
    if isinstance(entry, Fault):
        raise entry.error()
    if entry is None:
        what = f"there is no row {number:,}: the data has {quantity(count, 'row')}"
        raise UserError(what, path=source.path)
    return entry


def _cut(library: RecordLibrary, number: int) -> tuple[Row | Fault | None, int]:
    while len(library) < number and library.extend():
        pass
    return (library.entry(number - 1) if len(library) >= number else None), len(library)


def _streamed(source: SourceRequest, number: int) -> tuple[Row | Fault | None, int]:
    count = 0
    for entry in source.entries():
        count += isinstance(entry, Row) or entry.fatal
        if count == number:
            return entry, count
    return None, count
