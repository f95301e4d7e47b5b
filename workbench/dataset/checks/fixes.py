"""A data set's harmless faults mended into a new file; the source is never written to.

Mended is only what leaves no choice: the encoding that a mark declares, byte order marks, NULs,
line ends, white space and empty lines between JSON rows, and rows that repeat an earlier one, white
space apart. Everything that is done has a place in the source and a code.
"""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from workbench.core import files
from workbench.core.errors import UserError
from workbench.dataset.checks.findings import Findings
from workbench.dataset.duplicates import row_key
from workbench.dataset.reader_options import PLAIN, ReaderOptions
from workbench.dataset.readers.compression import packed_as
from workbench.dataset.readers.lines import open_regular
from workbench.dataset.readers.text_pairs import INPUT_OUTPUT, TASK_CODE
from workbench.dataset.rows import Fault, Place, Row
from workbench.dataset.sources import ReadPlan, iterate, plan_source

BOM = b"\xef\xbb\xbf"
_BLOCKS = (INPUT_OUTPUT.FORMAT, TASK_CODE.FORMAT)
_WIDE = {b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16"}
_WIDE[b"\xfe\xff"] = "utf-16"
# `\u0000` that is not itself behind an escaping backslash
_NUL_ESCAPE = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


@dataclass
class FixResult:
    """What was done, each with its place in the source; `left` says what was not, and why."""

    done: Findings
    left: str = ""


def fixed_name(source: Path) -> Path:
    """`rows.jsonl` becomes `rows.fixed.jsonl`."""
    return source.with_name(f"{source.stem}.fixed{source.suffix}")


def fix(
    source: Path, target: Path, format: str = "auto", options: ReaderOptions = PLAIN
) -> FixResult:
    """Write `source` mended to `target`, whole or not at all.

    Raises UserError for a source that is no plain file of text, and for a target that exists.
    """
    if os.path.lexists(target):
        raise UserError("the file already exists", path=target, hint="choose another with -o")
    file = open_regular(source)
    if isinstance(file, Fault):
        raise file.error()
    fixed = FixResult(Findings())
    part = target.with_name(f".{target.name}.part{source.suffix}")
    try:
        with file, open(part, "xb") as out:
            numbers = _mend_lines(source, file, out, fixed.done)
        plan = plan_source(part, format, options)
        _drop_lines(part, _repeats(source, numbers, plan, fixed))
        files.fsync_file(part)
        files.rename(part, target)
    except FileExistsError:
        raise UserError(
            "another --fix is running here", path=part, hint="if not, delete this file"
        ) from None
    finally:
        part.unlink(missing_ok=True)
    return fixed


def _mend_lines(source: Path, file: BinaryIO, out: BinaryIO, done: Findings) -> array[int]:
    """Write the mended lines; returns the number in the source of each line that was written."""
    head = file.read(4)
    file.seek(0)
    if packed_as(head):
        raise UserError("compressed files cannot be fixed", path=source, hint="decompress it first")
    numbers = array("Q")
    is_json = _is_json(source)
    for number, raw in enumerate(_lines(source, file, head, done), 1):
        place = Place(str(source), number)
        line = _mended(place, raw, is_json, done)
        if is_json and not line:
            done.add([_did(place, "white-space", "removed an empty line")])
            continue
        numbers.append(number)
        out.write(line + b"\n")
    return numbers


def _lines(source: Path, file: BinaryIO, head: bytes, done: Findings) -> Iterator[bytes]:
    """The lines in UTF-8, whatever wider encoding a mark declares."""
    encoding = next((name for mark, name in _WIDE.items() if head.startswith(mark)), "")
    if not encoding:
        yield from file
        return
    done.add(
        [_did(Place(str(source), 1), "not-utf8", f"converted from {encoding.upper()} to UTF-8")]
    )
    try:
        yield from BytesIO(file.read().decode(encoding).encode())
    except UnicodeDecodeError as error:
        what = f"byte {error.start + 1} is not valid {encoding.upper()}, as its mark declares"
        raise UserError(what, path=source) from None


def _mended(place: Place, raw: bytes, is_json: bool, done: Findings) -> bytes:
    """The line without its end and without what is harmless to take away."""
    line = raw.removesuffix(b"\n")
    if line.endswith(b"\r"):
        line = line.removesuffix(b"\r")
        done.add([_did(place, "crlf", "converted a Windows line ending")])
    if line.startswith(BOM):
        line = line.removeprefix(BOM)
        code = "bom" if place.line == 1 else "bom-inside"
        done.add([_did(place, code, "removed the byte order mark")])
    bare = line.replace(b"\0", b"")
    bare = _NUL_ESCAPE.sub(rb"\1", bare) if is_json and b"\\u0000" in bare else bare
    if bare != line:
        done.add([_did(place, "nul", "removed NUL characters")])
    if is_json and bare != bare.strip(b" \t\r"):
        bare = bare.strip(b" \t\r")
        done.add([_did(place, "white-space", "removed whitespace around the row")])
    return bare


def _repeats(source: Path, numbers: array[int], plan: ReadPlan, fixed: FixResult) -> set[int]:
    """Lines of the mended file, from 1, that hold rows which repeat an earlier one."""
    if not plan.files:
        fixed.left = f"duplicate rows were kept: {plan.faults[0].message}"
        return set()
    taken = plan.files[0][1]
    if not _is_json(source) and taken not in _BLOCKS:
        fixed.left = f"duplicate rows were kept: they cannot be removed from {taken} files"
        return set()
    first: dict[bytes, Place] = {}
    found: list[Fault] = []
    dropped: set[int] = set()
    doomed = 0  # the line at which a row that repeats begins; it ends where another does
    for line, row in _starts(plan, len(numbers)):
        if doomed:
            dropped.update(range(doomed, doomed + 1 if _is_json(source) else line))
            doomed = 0
        if row is None and line <= len(numbers) and not _is_json(source):
            fixed.left = "duplicate rows were kept: fix the errors first"
            return set()
        if row:
            here = Place(str(source), numbers[line - 1])
            known = first.setdefault(blake2b(row_key(row), digest_size=16).digest(), here)
            if known is not here:
                found.append(_did(here, "duplicate", f"removed: duplicates {known}"))
                doomed = line
    fixed.done.add(found)
    return dropped


def _starts(plan: ReadPlan, n_lines: int) -> Iterator[tuple[int, Row | None]]:
    """(first line, row) of each row, (line, None) of each error and behind the last line."""
    for entry in iterate(plan):
        if isinstance(entry, Row):
            yield entry.place.line, entry
        elif entry.fatal:
            yield entry.place.line, None
    yield n_lines + 1, None


def _drop_lines(path: Path, dropped: set[int]) -> None:
    """Rewrite the file without those lines."""
    if not dropped:
        return
    rest = path.with_name(f"{path.name}.rest")
    with open(path, "rb") as file, open(rest, "wb") as out:
        out.writelines(line for number, line in enumerate(file, 1) if number not in dropped)
    files.rename(rest, path)


def _is_json(source: Path) -> bool:
    """Whether each line is a row of its own, with nothing of meaning between the rows."""
    return source.suffix.lower() in (".jsonl", ".ndjson")


def _did(place: Place, code: str, what: str) -> Fault:
    return Fault(place, code, what, fatal=False)
