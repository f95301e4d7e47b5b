"""From a path to rows: a file, a folder or a glob, in a format that is given or detected.

A folder counts without its hidden parts; files are sorted. Faults of all files are gathered; none
stops the others (a file with a thousand faults is abandoned). `iterate` streams the rows;
`read_source` keeps them, and nothing else, in memory.
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from workbench.core.errors import UserError
from workbench.core.text import did_you_mean, one_line, quantity
from workbench.dataset.formats import FORMATS, READERS, SUFFIXES, sniff_format
from workbench.dataset.reader_options import PLAIN, ReaderOptions
from workbench.dataset.readers import source_code, topics
from workbench.dataset.readers.compression import plain_suffix
from workbench.dataset.readers.json_schema import read_schema
from workbench.dataset.readers.lines import MAX_FAULTS
from workbench.dataset.readers.topic_tree import STRUCTURE, is_tree, notes, read_tree
from workbench.dataset.rows import Fault, Place, Row, raise_faults


def list_files(path: Path | str) -> list[Path] | Fault:
    """The files that a path, folder (hidden files apart) or glob names, sorted."""
    shown, expanded = str(path), os.path.expanduser(str(path))
    if "\0" in shown:
        return Fault(Place(shown, 0), "missing", "file not found", "check the path")
    if os.path.isdir(expanded):
        files = walk(expanded)
        hint = "add a file with examples"
        return files or Fault(Place(shown, 0), "empty-folder", "the folder is empty", hint)
    if os.path.lexists(expanded) or not glob.has_magic(expanded):
        return [Path(expanded)]
    found = sorted(glob.glob(expanded, recursive=True))
    files = [Path(name) for name in found if not os.path.isdir(name)]
    return files or Fault(
        Place(shown, 0), "missing", "no file matches the pattern", "check the pattern"
    )


def walk(folder: str) -> list[Path]:
    """Every file below `folder` that is not hidden, nor in a hidden folder."""
    found = []
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(here, name) for name in sorted(files) if not name.startswith(".")]
    return found


_ACCOUNTED = ("empty", "skipped")  # codes that say why a file gave no rows


@dataclass
class ReadResult:
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
class ReadPlan:
    """The files of a source, each with its format and why it was taken."""

    files: tuple[tuple[Path, str, str], ...]
    faults: tuple[Fault, ...] = ()
    options: ReaderOptions = PLAIN


def read_source(
    path: Path | str,
    format: str = "auto",
    name: str = "",
    *,
    answers: bool = True,
    options: ReaderOptions = PLAIN,
) -> ReadResult:
    """All rows and faults of a file, folder or glob. Raises nothing for faults in the data.

    `answers=False` also takes rows without an answer, as a set of prompts may be.
    Raises UserError for a format that does not exist.
    """
    plan = plan_source(path, format, options)
    reading = ReadResult(faults=list(plan.faults))
    for entry in iterate(plan, name, answers=answers):
        (reading.rows if isinstance(entry, Row) else reading.faults).append(entry)  # type: ignore[arg-type]
    reading.format, reading.why = read_summary(plan)
    return reading


def require(reading: ReadResult, what: str = "") -> ReadResult:
    """`reading`, when it can be used. Raises UserErrors with every fatal fault, or for no rows."""
    raise_faults(reading.faults)
    if not reading.rows:
        raise UserError("the data has no rows", path=what or None, hint="add examples")
    return reading


def plan_source(path: Path | str, format: str = "auto", options: ReaderOptions = PLAIN) -> ReadPlan:
    """The files that `path` names and the format of each. Opens them, reads only their heads."""
    if format != "auto" and format not in READERS:
        raise UserError(f"unknown format '{format}'", hint=did_you_mean(format, FORMATS))
    schema = read_schema(options.schema) if options.schema else None
    if isinstance(schema, Fault):
        return ReadPlan((), (schema,), options)
    return _plan_folder(Path(os.path.expanduser(path)), format, options) or _plan_files(
        path, format, options
    )


def _plan_folder(folder: Path, format: str, options: ReaderOptions) -> ReadPlan | None:
    """The plan of a folder that is one thing: a tree of topics, or code. None for any other."""
    if format in ("auto", topics.FORMAT) and is_tree(folder):
        tree = read_tree(folder)
        why = f"a topic tree with {STRUCTURE}"
        files = [(topic.path, topics.FORMAT, why) for topic in tree.topics if topic.path.exists()]
        return ReadPlan(tuple(files), (*tree.faults, *notes(tree)), options)
    if format not in ("auto", source_code.FORMAT) or not folder.is_dir():
        return None
    why = "as specified" if format == source_code.FORMAT else source_code.sniff_folder(folder)
    if not why:
        return None
    kept, faults = source_code.plan_folder(folder, options.suffixes)
    return ReadPlan(tuple((file, source_code.FORMAT, why) for file in kept), tuple(faults), options)


def _plan_files(path: Path | str, format: str, options: ReaderOptions) -> ReadPlan:
    """The plan of files each by itself."""
    paths = list_files(path)
    if isinstance(paths, Fault):
        return ReadPlan((), (paths,), options)
    paths, faults = _fitting(paths, format, str(path))
    files: list[tuple[Path, str, str]] = []
    for file in paths:
        found = (format, "as specified") if format != "auto" else sniff_format(file, options)
        if isinstance(found, Fault):
            faults.append(found)
        else:
            files.append((file, *found))
    return ReadPlan(tuple(files), tuple(faults), options)


def iterate(plan: ReadPlan, name: str = "", *, answers: bool = True) -> Iterator[Row | Fault]:
    """Rows and faults of the planned files, streamed, in order; at most the rows wished for."""
    entries = _entries(plan, name, answers)
    if not plan.options.rows:
        yield from entries
        return
    n_rows = 0
    for entry in entries:
        yield entry
        n_rows += isinstance(entry, Row)
        if n_rows == plan.options.rows:
            return


def _entries(plan: ReadPlan, name: str, answers: bool) -> Iterator[Row | Fault]:
    for path, format, _ in plan.files:
        n_entries = n_faults = 0
        for read in READERS[format].read(path, plan.options):
            entry = read
            if isinstance(read, Row):
                n_entries += 1
                entry = _checked(replace(read, source=name) if name else read, answers)
            elif read.fatal or read.code in _ACCOUNTED:
                n_entries += 1
            yield entry
            if isinstance(entry, Row):
                continue
            n_faults += entry.fatal
            if n_faults == MAX_FAULTS:
                what = f"{MAX_FAULTS} errors in this file; the rest was not read"
                hint = "is the format right?" if format != "text" else ""
                yield Fault(Place(str(path), 0), "too-many", what, hint)
                break
        if not n_entries:
            yield Fault(Place(str(path), 1), "empty", f"the file contains no {format} rows")


def _fitting(paths: list[Path], format: str, path: str) -> tuple[list[Path], list[Fault]]:
    """Of several files those of the named format's suffixes, and a note on the others."""
    suffixes = SUFFIXES.get(format, ())
    if not suffixes or len(paths) < 2:
        return paths, []
    kept = [file for file in paths if plain_suffix(file) in suffixes]
    left = [file.name for file in paths if plain_suffix(file) not in suffixes]
    if not left:
        return kept, []
    what = f"{quantity(len(left), 'file')} skipped: not {' or '.join(suffixes)}"
    fault = Fault(Place(path, 0), "skipped", what, f"such as {one_line(left[0], 40)}", fatal=False)
    return kept, [fault]


def _checked(row: Row, answers: bool) -> Row | Fault:
    if not answers or not row.messages:
        return row
    last = row.messages[-1]
    if last.role != "assistant":
        what = f"the row ends with the role '{last.role}', so there is no response"
        return Fault(row.place, "no-answer", what, "end it with the assistant's message")
    return row


def read_summary(plan: ReadPlan) -> tuple[str, str]:
    """The format of the planned files and why it was taken; `mixed` where there are several."""
    formats: dict[str, str] = {}
    for _, format, why in plan.files:
        formats.setdefault(sys.intern(format), why)
    if len(formats) == 1:
        return next(iter(formats.items()))
    counts = [f"{_count(plan.files, name)} {name}" for name in formats]
    return ("mixed" if formats else "", ", ".join(counts))


def _count(files: Sequence[tuple[Path, str, str]], format: str) -> int:
    return sum(name == format for _, name, _ in files)
