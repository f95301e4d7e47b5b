"""Malformed data sets against the real command line: `workbench data`, a process each.

    python -m benchmarks.malformed [--json FILE] [--million]

Each must be refused by one line `file:line: reason` on stderr and the exit status 2, within a
second and 300 MB; none may be accepted. The files are those of
tests/dataset/readers/test_malformed.py (so pytest and hypothesis must be installed) and some that
are no files. `--million` adds a file of a
million rows of which the last is bad.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, tell
from benchmarks.processes import Taken, measure

COMMAND = [sys.executable, "-m", "workbench", "data"]
MAX_S, MAX_BYTES = 1.0, 300e6
MILLION_S = 30.0
GOOD = '{"prompt": "a question, number %d", "completion": "its answer"}\n'


@dataclass(frozen=True)
class Case:
    """A data set at `path` that must be refused; the line begins with `start` and holds `words`."""

    name: str
    path: Path
    start: str
    words: str


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--million", action="store_true", help="a million rows, the last one bad")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cases = list(_cases(Path(folder)))
        taken = [(case, measure([*COMMAND, str(case.path)], 60)) for case in cases]
        wrong = [(case, fault) for case, found in taken if (fault := _fault(case, found))]
        figures = _figures(taken, len(wrong))
        if args.million:
            figures += _million(Path(folder))
    for case, fault in wrong:
        print(f"{case.name}: {fault}")
    return tell(figures, args.json) or int(bool(wrong))


def _cases(folder: Path) -> Iterator[Case]:
    from tests.dataset.readers.test_malformed import CASES

    for number, (name, (file, contents, line, words)) in enumerate(CASES.items()):
        path = folder / str(number) / file
        path.parent.mkdir()
        path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
        yield Case(name, path, f"{path}:{line}: " if line else f"{path}: ", words)
    for name, make in ODD.items():
        path = folder / name.replace(" ", "-")
        line, words = make(path)
        yield Case(name, path, f"{path}:{line}: " if line else f"{path}: ", words)


def _long_line(path: Path) -> tuple[int, str]:
    path.write_text(GOOD % 1 + '{"prompt": "' + "x" * (50 << 20) + '"}\n' + GOOD % 2)
    return 2, "longer than 16.0 MiB"


def _long_array(path: Path) -> tuple[int, str]:
    path.write_text('[{"prompt": "a", "completion": "' + "x" * (50 << 20) + '", "prompt": 1}]')
    return 1, "appears twice"


def _nothing(path: Path) -> tuple[int, str]:
    return 0, "file not found"


def _folder(path: Path) -> tuple[int, str]:
    (path / ".hidden").mkdir(parents=True)
    return 0, "the folder is empty"


def _pipe(path: Path) -> tuple[int, str]:
    os.mkfifo(path)
    return 0, "is a pipe"


def _device(path: Path) -> tuple[int, str]:
    path.symlink_to("/dev/zero")
    return 0, "is not a regular file"


def _loop(path: Path) -> tuple[int, str]:
    path.symlink_to(path)
    return 0, "cannot be read"


# Things that no file's contents make; each says the line and the words to expect.
ODD: dict[str, Callable[[Path], tuple[int, str]]] = {
    "a line of 50 MB": _long_line,
    "an array of 50 MB": _long_array,
    "no file": _nothing,
    "an empty folder": _folder,
    "a pipe": _pipe,
    "a device without end": _device,
    "a link to itself": _loop,
}


def _fault(case: Case, taken: Taken) -> str:
    """What is wrong with how the data set was refused, `""` when nothing is."""
    lines = taken.err.splitlines()
    if taken.status != 2:
        return f"exit status {taken.status}: {taken.err[-200:]}"
    if len(lines) != 1:
        return f"{len(lines)} lines: {lines[:3]}"
    if not lines[0].startswith(case.start) or case.words not in lines[0]:
        return f"said {lines[0]!r}"
    if taken.wall_s > MAX_S or taken.peak_bytes > MAX_BYTES:
        return f"{taken.wall_s:.2f} s, {taken.peak_bytes / 1e6:.0f} MB"
    return ""


def _figures(taken: list[tuple[Case, Taken]], wrong: int) -> list[Figure]:
    count = len(taken)
    slowest, its_s = max(((c.name, t.wall_s) for c, t in taken), key=lambda pair: pair[1])
    largest, its_bytes = max(((c.name, t.peak_bytes) for c, t in taken), key=lambda pair: pair[1])
    accepted = sum(t.status == 0 for _, t in taken)
    return [
        Figure("refused as they should be", count - wrong, "sets", "higher", count),
        Figure("accepted", accepted, "sets", goal=0),
        Figure("slowest", its_s, "s", goal=MAX_S, note=slowest),
        Figure("largest", its_bytes / 1e6, "MB", goal=MAX_BYTES / 1e6, note=largest),
    ]


def _million(folder: Path) -> list[Figure]:
    path = folder / "million.jsonl"
    with path.open("w") as file:
        file.writelines(GOOD % number for number in range(999_999))
        file.write(json.dumps({"prompt": 1}) + "\n")
    taken = measure([*COMMAND, str(path)], 300)
    named = taken.err == f"{path}:1000000: 'prompt' is a number, not a string\n"
    return [
        Figure("the bad one of a million is named", named, "", "higher", 1),
        Figure("a million rows", taken.wall_s, "s", goal=MILLION_S),
        Figure("a million rows", taken.peak_bytes / 1e6, "MB", goal=MAX_BYTES / 1e6),
    ]


if __name__ == "__main__":
    sys.exit(main())
