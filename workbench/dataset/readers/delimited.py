"""CSV and TSV with a header line, streamed: fields in quotes may hold lines, commas and quotes.

The delimiter is the one that the header has most of. A record with another number of fields than
the header, or with quotes that never end, is a fault at the line where it begins, and reading goes
on behind it. A record's place is the line where it begins.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from workbench.core.text import one_line, quantity
from workbench.dataset.readers.compression import plain_suffix
from workbench.dataset.readers.fields import FIELDS
from workbench.dataset.readers.lines import MAX_LINE_BYTES, Line, read_lines
from workbench.dataset.rows import Fault, Place

SUFFIXES = (".csv", ".tsv")
DELIMITERS = ",;\t|"
_QUOTES = "close the quotes; double any quote inside a field"


def is_table(path: Path) -> bool:
    """Whether the file's name says that it is a table, packed or not."""
    return plain_suffix(path) in SUFFIXES


def header(path: Path, keep: Collection[str] = ()) -> list[str] | Fault:
    """The names of the columns, or the fault that leaves none; see `table_rows`."""
    for entry in table_rows(path, keep, rows=False):
        if isinstance(entry, Fault) and entry.fatal:
            return entry
        if isinstance(entry, tuple):
            return list(entry[1])
    return Fault(Place(str(path), 1), "empty", "the table is empty")


def table_rows(
    path: Path, keep: Collection[str] = (), *, rows: bool = True
) -> Iterator[tuple[Place, dict[str, Any]] | Fault]:
    """Every record of the table with its place, or the fault in its place.

    A column whose name differs only in case from a field that some format has is called as the
    format calls it, unless `keep` holds the name. `rows=False` yields the header and ends.
    """
    names: list[str] = []
    for place, cells in _records(path):
        if isinstance(cells, Fault):
            yield cells
        elif not names:
            names = [_known(cell, keep) for cell in cells]
            if fault := _header_fault(place, names):
                yield fault
                return
            if not rows:
                yield place, dict.fromkeys(names)
                return
        elif len(cells) == len(names):
            yield place, dict(zip(names, cells, strict=True))
        else:
            what = f"{quantity(len(cells), 'field')}, but the header has {len(names)}"
            yield Fault(place, "fields", what, "is a comma or a quote missing?")


class _Feed:
    """The lines of a file for `csv.reader`; a line that cannot be read breaks its record."""

    def __init__(self, path: Path) -> None:
        self._lines = read_lines(path)
        self.number = 0
        self.faults: list[Fault] = []
        self.broken = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        for line in self._lines:
            if isinstance(line, Line):
                self.number = line.number
                return line.text + "\n"
            self.faults.append(line)
            if line.fatal:
                self.number, self.broken = max(self.number, line.place.line), True
                return "\n"
        raise StopIteration

    def told(self) -> list[tuple[Place, Fault]]:
        """The faults since the last call, each with its place."""
        found, self.faults = self.faults, []
        return [(fault.place, fault) for fault in found]


def _records(path: Path) -> Iterator[tuple[Place, list[str] | Fault]]:
    """The cells of every record with the place where it begins; blank lines are none."""
    csv.field_size_limit(MAX_LINE_BYTES)
    feed = _Feed(path)
    first = next((line for line in feed if line.strip()), "")
    start, header_lost = feed.number, feed.broken
    yield from feed.told()
    if header_lost:
        return
    delimiter, lines = _delimiter(path, first), chain([first], feed)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        place, cells = Place(str(path), start), list[str]()
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            feed.faults.append(_broken(place, error))
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
        whole, feed.broken = not feed.broken, False
        yield from feed.told()
        if cells and whole:
            yield place, cells
        start = feed.number + 1
    yield from feed.told()


def _delimiter(path: Path, first: str) -> str:
    if plain_suffix(path) == ".tsv":
        return "\t"
    bare = "".join(first.split('"')[::2])
    return max(DELIMITERS, key=bare.count)


def _known(name: str, keep: Collection[str]) -> str:
    name = name.strip()
    folded = name.casefold()
    return folded if folded in FIELDS and name not in keep else name


def _header_fault(place: Place, names: list[str]) -> Fault | None:
    name, count = Counter(names).most_common(1)[0]
    if count == 1:
        return None
    what = f"the column '{one_line(name, 40)}' appears twice in the header"
    return Fault(place, "duplicate-key", what, "rename one of them")


def _broken(place: Place, error: csv.Error) -> Fault:
    said = one_line(str(error), 100)
    return Fault(place, "broken-csv", f"invalid CSV: {said}", _QUOTES)
