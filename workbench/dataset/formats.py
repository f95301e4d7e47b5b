"""The formats there are, and which of them a file is in: found out from its name and beginning.

Records (JSON, tables) go by the keys of the first one, text by the rule of each text format. The
first that knows the file takes it, so the order matters: what takes anything stands last.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Protocol, cast

from workbench.core.text import one_line
from workbench.dataset.reader_options import PLAIN, ReaderOptions
from workbench.dataset.readers import (
    chat,
    delimited,
    documents,
    markdown,
    plain_text,
    sharegpt,
    source_code,
    topics,
)
from workbench.dataset.readers.compression import plain_suffix
from workbench.dataset.readers.fields import head_keys, named
from workbench.dataset.readers.instruction_records import ALPACA, DOLLY, PROMPT_COMPLETION
from workbench.dataset.readers.lines import read_head
from workbench.dataset.readers.records import (
    Shape,
    columns_of,
    kind_of,
    read_rows,
    records,
    renamed,
)
from workbench.dataset.readers.text_pairs import INPUT_OUTPUT, TASK_CODE
from workbench.dataset.rows import Fault, Place, Row

CSV = "csv"
MAX_NAMES_TOLD = 8
_JSON_SUFFIXES = (".jsonl", ".json", ".ndjson")
_OTHER_SUFFIXES = (".xlsx", ".yaml", ".yml", ".zip", ".tar", ".tgz", ".bz2", ".xz", ".7z", ".rar")


class Reader(Protocol):
    """A format: what makes rows of a file."""

    def read(self, path: Path, options: ReaderOptions = PLAIN) -> Iterator[Row | Fault]:
        """The rows and faults of one file."""


class TextFormat(Reader, Protocol):
    """A text format: a module of `readers/`, or a value of one."""

    FORMAT: str

    def sniff(self, head: str, path: Path) -> str:
        """Why the file is of this format, by its beginning; `""` when it is not."""


SHAPES = cast(
    tuple[Shape, ...], (chat, sharegpt, DOLLY, ALPACA, PROMPT_COMPLETION, topics, documents)
)
TEXTS = cast(tuple[TextFormat, ...], (INPUT_OUTPUT, TASK_CODE, markdown, plain_text))


@dataclass(frozen=True)
class RecordFormat:
    """A shape of records as a format of files, whatever holds the records."""

    shape: Shape

    def read(self, path: Path, options: ReaderOptions = PLAIN) -> Iterator[Row | Fault]:
        """The rows and faults of one file."""
        return read_rows(records(path, options), self.shape, options)


class Table:
    """CSV whose shape is found from its columns, whatever the file is called."""

    def read(self, path: Path, options: ReaderOptions = PLAIN) -> Iterator[Row | Fault]:
        """The rows and faults of one file."""
        entries = delimited.table_rows(path, options.fields.values())
        for entry in entries:
            if isinstance(entry, Fault):
                yield entry
                continue
            place, value = entry
            found = shape_of("CSV", Place(place.path, 1), renamed(value, options.fields))
            if isinstance(found, Fault):
                yield found
            else:
                yield from read_rows(chain([entry], entries), found[0], options)
            return


READERS: dict[str, Reader] = {
    **{shape.FORMAT: RecordFormat(shape) for shape in SHAPES},
    **{format.FORMAT: format for format in TEXTS},
    topics.FORMAT: topics,
    source_code.FORMAT: source_code,
    CSV: Table(),
}
FORMATS = tuple(READERS)
# Of a folder whose format is named, only these files are read.
SUFFIXES = {markdown.FORMAT: markdown.SUFFIXES, CSV: delimited.SUFFIXES}


def sniff_format(path: Path, options: ReaderOptions = PLAIN) -> tuple[str, str] | Fault:
    """(format, why) of a file by its beginning, or the fault that leaves none."""
    suffix, kind = plain_suffix(path), kind_of(path)
    if suffix in _OTHER_SUFFIXES:
        what = f"{suffix} files are not supported"
        return Fault(Place(str(path), 1), "format", what, "use JSON Lines, CSV or text")
    if kind != "JSON":
        return _shape_told(path, kind, columns_of(path, options))
    head = read_head(path)
    if isinstance(head, Fault):
        return head
    looks_json = head.lstrip()[:1] in ("{", "[") and suffix not in (".md", ".txt")
    is_text = suffix not in _JSON_SUFFIXES and (suffix or not looks_json)
    found = _sniff_json(path, head, options)
    if isinstance(found, Fault) and is_text:
        return next((f.FORMAT, why) for f in TEXTS if (why := f.sniff(head, path)))
    return found


def shape_of(kind: str, place: Place, keys: Collection[str]) -> tuple[Shape, str] | Fault:
    """The shape of records with these keys and why, or the fault that there is none."""
    for shape in SHAPES:
        if why := shape.fits(keys):
            return shape, f"{kind} rows with {why}"
    told = named([one_line(key, 30) for key in sorted(keys)[:MAX_NAMES_TOLD]]) if keys else "none"
    hint = f"the keys are {told}; map them in [data.source.fields], or set the format"
    return Fault(place, "format", f"{kind} rows in no known format", hint)


def _sniff_json(path: Path, head: str, options: ReaderOptions) -> tuple[str, str] | Fault:
    if head.lstrip()[:1] not in ("{", "["):
        hint = "rename it, or write one JSON object per line"
        return Fault(Place(str(path), 1), "format", "not JSON", hint)
    return _shape_told(path, "JSON", renamed(head_keys(head), options.fields))


def _shape_told(path: Path, kind: str, keys: set[str] | Fault) -> tuple[str, str] | Fault:
    found = keys if isinstance(keys, Fault) else shape_of(kind, Place(str(path), 1), keys)
    return found if isinstance(found, Fault) else (found[0].FORMAT, found[1])
