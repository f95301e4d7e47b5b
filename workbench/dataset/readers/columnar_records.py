"""Parquet, Arrow and hub data sets: records that another process reads and hands over.

`python -m workbench.columnar` has the heavy libraries and takes the risk of broken files; here its
lines of JSON are held to the same rules as any others. A record's place is its number, counted
from 1. The process ends with the iteration, however that ends.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO, Any

from workbench.core.subprocesses import DISCARD, start_pipes
from workbench.core.text import one_line, size
from workbench.dataset.readers.lines import MAX_LINE_BYTES, open_regular
from workbench.dataset.readers.strict_json import JsonRow, Refused, parse_json
from workbench.dataset.rows import Fault, Place

HUB = "hub:"
MAX_RATIO = 1000  # of what a file's records are as JSON to the file; columns repeat themselves
FREE_BYTES = 64 << 20
KINDS = {".parquet": "Parquet", ".arrow": "Arrow", ".feather": "Arrow", ".ipc": "Arrow"}


def kind_of(path: Path) -> str:
    """`Parquet`, `Arrow` or `Hub`; `""` for what is read here."""
    return "Hub" if str(path).startswith(HUB) else KINDS.get(path.suffix.lower(), "")


def columns(path: Path) -> list[str] | Fault:
    """The names of the columns, or the fault that leaves none."""
    lines = _lines(path)
    try:
        for line in lines:
            if isinstance(line, Fault):
                return line
            if "columns" in line:
                return list(line["columns"])
            if "message" in line:
                return _fault(path, line)
    finally:
        lines.close()
    return Fault(Place(str(path), 1), "empty", "the file contains no records")


def foreign_rows(path: Path) -> Iterator[JsonRow | Fault]:
    """Every record with its place, or the fault in its place."""
    for line in _lines(path):
        if isinstance(line, Fault):
            yield line
        elif "message" in line:
            yield _fault(path, line)
        elif left_out := line.get("left_out"):
            names = ", ".join(f"'{one_line(name, 40)}'" for name in left_out[:8])
            what = f"binary columns that are ignored: {names}"
            yield Fault(Place(str(path), 0), "unused-keys", what, fatal=False)
        elif "value" in line:
            yield Place(str(path), line["number"]), line["value"]


def _lines(path: Path) -> Generator[dict[str, Any] | Fault, None, None]:
    """What the process says, strict JSON each, and a fault when it dies of it."""
    left = _allowance(path)
    if isinstance(left, Fault):
        yield left
        return
    command = [sys.executable, "-m", "workbench.columnar", str(path)]
    process = start_pipes(command, stderr=DISCARD)
    assert process.stdin and process.stdout
    process.stdin.close()
    number = 0
    try:
        for raw in _bounded(process.stdout):
            left -= len(raw)
            if left < 0:
                yield _bomb(path, number + 1)
                return
            line = _parsed(path, number + 1, raw)
            number = number + 1 if isinstance(line, Fault) else line.get("number", number)
            if isinstance(line, dict) and "end" in line:
                return
            yield line
        yield _died(path, number + 1, process.wait())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _allowance(path: Path) -> float | Fault:
    """How many bytes the records may be, as JSON; or the fault that keeps the file shut."""
    if str(path).startswith(HUB):
        return float("inf")
    file = open_regular(path)
    if isinstance(file, Fault):
        return file
    with file:
        return FREE_BYTES + MAX_RATIO * os.fstat(file.fileno()).st_size


def _bomb(path: Path, number: int) -> Fault:
    what = f"it expands to more than {MAX_RATIO} times its size"
    return Fault(Place(str(path), number), "too-large", what, "convert it to JSON Lines yourself")


def _bounded(stream: IO[bytes]) -> Iterator[bytes]:
    """The lines; of one that is too long a beginning, too long as well."""
    while raw := stream.readline(MAX_LINE_BYTES + 1):
        rest = raw
        while len(raw) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = stream.readline(1 << 20)
        yield raw


def _parsed(path: Path, number: int, raw: bytes) -> dict[str, Any] | Fault:
    place = Place(str(path), number)
    if len(raw) > MAX_LINE_BYTES:
        what = f"the record is larger than {size(MAX_LINE_BYTES)}"
        return Fault(place, "line-too-long", what, "split the row")
    try:
        line = parse_json(raw.decode())
        assert isinstance(line, dict), "the process speaks in objects"
        return line
    except Refused as refused:
        return refused.at(place)


def _fault(path: Path, line: dict[str, Any]) -> Fault:
    place = Place(str(path), line.get("number", 0))
    return Fault(place, line["code"], one_line(line["message"], 300), line.get("hint", ""))


def _died(path: Path, number: int, status: int) -> Fault:
    how = f"by signal {-status}" if status < 0 else f"with exit status {status}"
    what = f"the reader process ended {how}"
    return Fault(Place(str(path), number), "broken-file", what, "is the file corrupt?")
