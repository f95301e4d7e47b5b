"""From a path to rows: a file, a folder or a glob, in a format that is named or found out.

Every fault of every file is gathered, none stops the others (a file with a thousand is given up).
`iterate` streams; `read_source` keeps the rows, and no more than the rows, in memory.
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, cast

from workbench.dataset.readers import alpaca, chat, input_output, prompt_completion, text
from workbench.dataset.readers.lines import MAX_FAULTS, read_head
from workbench.dataset.rows import Fault, Place, Row, raise_faults
from workbench.errors import UserError
from workbench.text import did_you_mean


class Reader(Protocol):
    """A format: a module of `readers/`."""

    FORMAT: str

    def sniff(self, head: str, path: Path) -> str: ...

    def read(self, path: Path) -> Iterator[Row | Fault]: ...


# In the order in which `auto` asks them: the last takes whatever is left.
READERS: dict[str, Reader] = {
    module.FORMAT: cast(Reader, module)
    for module in (chat, alpaca, prompt_completion, input_output, text)
}
FORMATS = tuple(READERS)
_JSON_SUFFIXES = (".jsonl", ".json", ".ndjson")
_OTHER_SUFFIXES = (".csv", ".tsv", ".parquet", ".arrow", ".xlsx", ".yaml", ".yml", ".zip", ".gz")


@dataclass
class Reading:
    """What was read: rows, faults, and the format with the reason for it."""

    rows: list[Row] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    format: str = ""
    why: str = ""

    @property
    def fatal(self) -> list[Fault]:
        """The faults that refuse the data set."""
        return [fault for fault in self.faults if fault.fatal]


@dataclass(frozen=True)
class Plan:
    """The files of a source, each with its format and why it was taken."""

    files: tuple[tuple[Path, str, str], ...]
    faults: tuple[Fault, ...] = ()


def read_source(
    path: Path | str, format: str = "auto", name: str = "", *, answers: bool = True
) -> Reading:
    """All rows and faults of a file, folder or glob. Raises nothing for faults in the data.

    `answers=False` also takes rows without an answer, as a set of prompts may be.
    Raises UserError for a format that does not exist.
    """
    plan = plan_source(path, format)
    reading = Reading(faults=list(plan.faults))
    for entry in iterate(plan, name, answers=answers):
        (reading.rows if isinstance(entry, Row) else reading.faults).append(entry)  # type: ignore[arg-type]
    reading.format, reading.why = _told(plan)
    return reading


def require(reading: Reading, what: str = "") -> Reading:
    """`reading`, when it can be used. Raises UserErrors with every fatal fault, or for no rows."""
    raise_faults(reading.faults)
    if not reading.rows:
        raise UserError("no rows in the data", path=what or None, hint="give it examples")
    return reading


def plan_source(path: Path | str, format: str = "auto") -> Plan:
    """The files that `path` names and the format of each. Opens them, reads only their heads."""
    if format != "auto" and format not in READERS:
        raise UserError(f"no format '{format}'", hint=did_you_mean(format, FORMATS))
    paths = list_files(path)
    if isinstance(paths, Fault):
        return Plan((), (paths,))
    files: list[tuple[Path, str, str]] = []
    faults: list[Fault] = []
    for file in paths:
        found = (format, "as named") if format != "auto" else sniff_format(file)
        if isinstance(found, Fault):
            faults.append(found)
        else:
            files.append((file, *found))
    return Plan(tuple(files), tuple(faults))


def iterate(plan: Plan, name: str = "", *, answers: bool = True) -> Iterator[Row | Fault]:
    """Rows and faults of the planned files, streamed, in order."""
    for path, format, _ in plan.files:
        n_entries = n_faults = 0
        for entry in READERS[format].read(path):
            n_entries += isinstance(entry, Row) or entry.fatal
            if isinstance(entry, Row):
                entry = _checked(replace(entry, source=name) if name else entry, answers)
            yield entry
            n_faults += isinstance(entry, Fault) and entry.fatal
            if n_faults == MAX_FAULTS:
                what = f"{MAX_FAULTS} faults in this file, the rest of it was not read"
                hint = "is the format right?" if format != "text" else ""
                yield Fault(Place(str(path), 0), "too-many", what, hint)
                break
        if not n_entries:
            yield Fault(Place(str(path), 1), "empty", f"the file holds no {format} rows")


def list_files(path: Path | str) -> list[Path] | Fault:
    """The files that a path, folder (hidden files apart) or glob names, sorted."""
    shown, expanded = str(path), os.path.expanduser(str(path))
    if "\0" in shown:
        return Fault(Place(shown, 0), "missing", "no such file", "check the path")
    if os.path.isdir(expanded):
        files = _walk(expanded)
        hint = "put a file with examples into it"
        return files or Fault(Place(shown, 0), "empty-folder", "no files in this folder", hint)
    if os.path.lexists(expanded) or not glob.has_magic(expanded):
        return [Path(expanded)]
    found = sorted(glob.glob(expanded, recursive=True))
    files = [Path(name) for name in found if not os.path.isdir(name)]
    return files or Fault(Place(shown, 0), "missing", "no file matches", "check the pattern")


def sniff_format(path: Path) -> tuple[str, str] | Fault:
    """(format, why) of a file by its beginning, or the fault that leaves none."""
    head = read_head(path)
    if isinstance(head, Fault):
        return head
    place, suffix = Place(str(path), 1), path.suffix.lower()
    if suffix in _OTHER_SUFFIXES:
        return Fault(place, "format", f"{suffix} files are not read", "use JSON Lines or text")
    looks_json = head.lstrip()[:1] in ("{", "[") and suffix not in (".md", ".txt")
    for name, reader in READERS.items():
        if name == text.FORMAT and (suffix in _JSON_SUFFIXES or (looks_json and not suffix)):
            break
        if why := reader.sniff(head, path):
            return name, why
    return _no_format(place, head)


def _no_format(place: Place, head: str) -> Fault:
    first = head.lstrip()[:1]
    if first not in ("{", "["):
        return Fault(place, "format", "not JSON", "rename it, or write one JSON object a line")
    keys = "'messages', 'prompt' and 'completion', or 'instruction' and 'output'"
    return Fault(place, "format", "JSON of no known format", f"a row needs {keys}")


def _checked(row: Row, answers: bool) -> Row | Fault:
    if not answers or row.kind == "text":
        return row
    last = row.messages[-1]
    if last.role != "assistant":
        what = f"the row ends with the role '{last.role}': there is no answer to learn"
        return Fault(row.place, "no-answer", what, "end it with the assistant's message")
    return row


def _walk(folder: str) -> list[Path]:
    found = []
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(here, name) for name in sorted(files) if not name.startswith(".")]
    return found


def _told(plan: Plan) -> tuple[str, str]:
    formats: dict[str, str] = {}
    for _, format, why in plan.files:
        formats.setdefault(sys.intern(format), why)
    if len(formats) == 1:
        return next(iter(formats.items()))
    counts = [f"{_count(plan.files, name)} {name}" for name in formats]
    return ("mixed" if formats else "", ", ".join(counts))


def _count(files: Sequence[tuple[Path, str, str]], format: str) -> int:
    return sum(name == format for _, name, _ in files)
