"""How quickly a data set of a million rows is looked at: a table, and JSON if asked.

    python -m benchmarks.data_browse [--json FILE] [--quick]

The rows are seen through a pseudo-terminal, as a person sees them: the time from the key to the
text on the screen. Beside stands what `datasets.load_dataset("json")` takes to its first row, where
that library is installed; it reads all of the file first, or with streaming the beginning of it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure, tell
from benchmarks.screen_load import WIDE
from benchmarks.terminal import ROOT, SCREEN, Terminal
from workbench.dataset.browse.file_bytes import RawFile
from workbench.dataset.browse.record_index import Index

TALL = (160, 110)  # a hundred rows are in view at once
ROWS, FEWER_ROWS = 1_000_000, 100_000
ROW_BYTES = 1000
JUMPS = 15
PEER = """
import sys, time
import datasets
datasets.disable_progress_bars()
began = time.perf_counter()
found = datasets.load_dataset("json", data_files=sys.argv[1], split="train", streaming={streaming})
next(iter(found))
print(time.perf_counter() - began)
"""


def write_rows(path: Path, count: int) -> Path:
    """Rows of about a thousand bytes, each with its number as a word of its own."""
    choose = random.Random(1)
    words = ["".join(choose.choices("abcdefghijklmnopqrstuvwxyz", k=k % 8 + 2)) for k in range(997)]
    texts = [" ".join(choose.choices(words, k=80)) for _ in range(500)]
    with open(path, "w") as file:
        for number in range(count):
            ask, say = texts[number % 499], texts[number * 7 % 500]
            row = {
                "prompt": f"row-{number + 1:07} {ask}",
                "completion": say,
                "category": words[number % 5],
            }
            file.write(json.dumps(row) + "\n")
    return path


def index(path: Path) -> list[Figure]:
    """The index alone, read from what the system has cached of the file."""
    began = time.perf_counter()
    file = RawFile(path)
    found = Index(file.read)
    while found.extend():
        pass
    seconds = time.perf_counter() - began
    file.close()
    speed = path.stat().st_size / seconds / 1e6
    note = f"{len(found):,} rows in {seconds:.2f} s"
    return [Figure("index", speed, "MB/s", "higher", goal=300, note=note)]


def opening(path: Path, place: Path, count: int) -> list[Figure]:
    """From the key to a hundred rows on the screen; then until all are counted."""
    begin_with(place, write_rows(place / "few.jsonl", 5))
    with Terminal(SCREEN, place, TALL) as screen:
        screen.until(b" trained")
        screen.read_all(1.0)
        first = pressed(screen, f"O{path}", "\r", b"row-0000100")
        began = time.monotonic()
        screen.until(f"{count:,} rows".encode(), limit_s=120)
        whole = time.monotonic() - began
    note = f"of {count:,}, {path.stat().st_size / 1e6:,.0f} MB, {TALL[0]}x{TALL[1]}"
    counted = "while a helper looks for faults"
    return [
        Figure("first 100 rows shown", first, "s", goal=0.3, note=note),
        Figure("all rows counted", whole, "s", note=counted),
    ]


def browsing(path: Path, place: Path, count: int) -> list[Figure]:
    """Jumping to rows once they are counted, searching, and the memory of it all."""
    begin_with(place, write_rows(place / "few.jsonl", 5))
    with Terminal(SCREEN, place, WIDE) as screen:
        screen.until(b" trained")
        screen.read_all(1.0)
        before = screen.memory_bytes() / 1e6
        pressed(screen, f"O{path}", "\r", f"{count:,} rows".encode())
        jumps = [jump(screen, number) for number in random.Random(2).sample(range(1, count), JUMPS)]
        hit = pressed(screen, f"/row-{count // 50:07}", "\r", b"1 of ")
        screen.type("\x1b")
        screen.read_all(1.0)
        after = screen.memory_bytes() / 1e6
    return [
        Figure(
            "jump to a row, median",
            statistics.median(jumps) * 1000,
            "ms",
            goal=50,
            note="from Enter",
        ),
        Figure("jump to a row, worst", max(jumps) * 1000, "ms", note=f"of {JUMPS}"),
        Figure("search, to a hit behind 2 % of the rows", hit, "s"),
        Figure(
            "memory above start", after - before, "MB", goal=150, note=f"start: {before:.0f} MB"
        ),
    ]


def begin_with(place: Path, path: Path) -> None:
    """The screen opens with this data set."""
    folder = place / "state" / "workbench"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "screen.json").write_text(json.dumps({"pane": "data", "data": str(path)}))


def pressed(screen: Terminal, keys: str, last: str, text: bytes) -> float:
    """Seconds from the last key to the text; the first key opens a dialog for the others."""
    for typed in (keys[0], "\x15", keys[1:]):
        screen.type(typed)
        screen.read_all(0.3)
    at, began = len(screen.output), time.monotonic()
    screen.type(last)
    screen.until(text, start=at)
    return time.monotonic() - began


def jump(screen: Terminal, number: int) -> float:
    return pressed(screen, f"#{number}", "\r", f"row-{number:07}".encode())


def first_rows(place: Path) -> Iterator[Figure]:
    """Opening a data set of 100,000 rows, from the key to its first row."""
    path = write_rows(place / "many.jsonl", FEWER_ROWS)
    begin_with(place, write_rows(place / "few.jsonl", 5))
    times = []
    for _ in range(3):
        with Terminal(SCREEN, place) as screen:
            screen.until(b" trained")
            screen.read_all(0.5)
            times.append(pressed(screen, f"O{path}", "\r", b"row-0000007"))
    yield Figure(f"{FEWER_ROWS:,} rows: first rows shown", statistics.median(times), "s", goal=0.3)


def beside(path: Path, place: Path, ours: float) -> Iterator[Figure]:
    """The first row through `datasets`, with an empty cache; its import is not counted."""
    for streaming in (False, True):
        name = f"first rows beside datasets{', streaming' if streaming else ''}"
        if importlib.util.find_spec("datasets") is None:
            yield Figure(name, ours, "s", note="datasets is not installed")
            continue
        with tempfile.TemporaryDirectory(dir=place) as cache:
            code = PEER.format(streaming=streaming)
            settings = {"HF_HOME": cache, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
            done = subprocess.run(
                [sys.executable, "-c", code, str(path)],
                env={**os.environ, **settings},
                capture_output=True,
                text=True,
                check=True,
            )
        yield Figure(
            name, ours, "s", peer=float(done.stdout.split()[-1]), note="peer: one row read"
        )


def rows(quick: bool = False) -> list[Figure]:
    """Every figure; `quick` takes a tenth of the rows."""
    count = ROWS // 10 if quick else ROWS
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        path = write_rows(place / "million.jsonl", count)
        found = [*index(path), *opening(path, place, count), *browsing(path, place, count)]
        found += first_rows(place)
        found += beside(path, place, found[1].ours)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", metavar="FILE", default="", help="write the rows there as well")
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    args = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores before", flush=True)
    return tell(rows(args.quick), args.json)


if __name__ == "__main__":
    sys.exit(main())
