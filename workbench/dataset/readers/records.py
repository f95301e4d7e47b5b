"""Records: objects with named fields, whatever holds them, and the rows that a shape makes of them.

A container (JSON Lines, a JSON array, CSV, Parquet, Arrow, a hub data set) yields objects; a shape
(chat, alpaca, documents, ...) makes a row of one. So every shape can be read from every container.
A key that a shape does not know is never dropped in silence: it is told once a file, with a count.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from workbench.core.text import one_line
from workbench.dataset.reader_options import PLAIN, ReaderOptions
from workbench.dataset.readers import columnar_records, delimited
from workbench.dataset.readers.compression import plain_suffix
from workbench.dataset.readers.fields import COMMON_KEYS, MAX_KEYS_TOLD
from workbench.dataset.readers.strict_json import JsonRow, Refused, json_rows
from workbench.dataset.rows import Fault, Place, Row


class Shape(Protocol):
    """A format of records: a module of `readers/`, or a value of one."""

    @property
    def FORMAT(self) -> str: ...

    @property
    def KEYS(self) -> Collection[str]: ...

    def fits(self, keys: Collection[str]) -> str:
        """Which of `keys` make a record one of this format, in words; `""` when it is none."""

    def row(self, place: Place, value: dict[str, Any], options: ReaderOptions) -> Row:
        """The row of one record. Raises Refused."""


def read_rows(
    entries: Iterable[JsonRow | Fault], shape: Shape, options: ReaderOptions
) -> Iterator[Row | Fault]:
    """The rows that `shape` makes of records, then a note on keys that nobody used."""
    unused: dict[str, int] = {}
    first: Place | None = None
    row_of = shape.row
    plain = set() if options.fields else {key for key in shape.KEYS if key == key.casefold()}
    plain = plain and plain.union(COMMON_KEYS)
    for entry in entries:
        if isinstance(entry, Fault):
            yield entry
            continue
        place, value = entry
        if not value.keys() <= plain:
            value, strange = _named(value, options.fields, shape.KEYS)
            for key in strange:
                unused[key] = unused.get(key, 0) + 1
            first = first or (place if strange else None)
        try:
            yield row_of(place, value, options)
        except Refused as refused:
            yield refused.at(place)
    if first:
        yield _unused_note(first, unused)


def kind_of(path: Path) -> str:
    """What holds the records: `JSON`, `CSV`, `TSV`, `Parquet`, `Arrow` or `Hub`."""
    if kind := columnar_records.kind_of(path):
        return kind
    return plain_suffix(path)[1:].upper() if delimited.is_table(path) else "JSON"


def columns_of(path: Path, options: ReaderOptions) -> set[str] | Fault:
    """What a shape may see of the columns of a table."""
    if columnar_records.kind_of(path):
        names = columnar_records.columns(path)
    else:
        names = delimited.header(path, options.fields.values())
    return names if isinstance(names, Fault) else renamed(names, options.fields)


def records(path: Path, options: ReaderOptions = PLAIN) -> Iterator[JsonRow | Fault]:
    """Every object of `path` with its place, or the fault in its place."""
    if columnar_records.kind_of(path):
        return columnar_records.foreign_rows(path)
    if delimited.is_table(path):
        return delimited.table_rows(path, options.fields.values())
    return json_rows(path)


def renamed(keys: Collection[str], fields: Mapping[str, str]) -> set[str]:
    """The names that the keys of a record have for a shape."""
    return set(_named(dict.fromkeys(keys), fields, ())[0])


def _named(
    value: dict[str, Any], fields: Mapping[str, str], keys: Collection[str]
) -> tuple[dict[str, Any], list[str]]:
    """(the record with its fields called as the format calls them, keys that are not used)."""
    strange = [k for k in value if k.casefold() not in keys and k not in COMMON_KEYS]
    if not fields:
        return value, strange
    own = {name: key for name, key in fields.items() if key in value}
    rest = {key: entry for key, entry in value.items() if key not in own.values()}
    strange = [key for key in strange if key in rest] + [key for key in rest if key in own]
    return rest | {name: value[key] for name, key in own.items()}, strange


def _unused_note(place: Place, unused: dict[str, int]) -> Fault:
    told = [f"'{one_line(key, 40)}' ({count})" for key, count in unused.items()][:MAX_KEYS_TOLD]
    more = f" and {len(unused) - len(told)} more" if len(unused) > len(told) else ""
    message = f"unused keys (with row counts): {', '.join(told)}{more}"
    return Fault(place, "unused-keys", message, fatal=False)
