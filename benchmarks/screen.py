"""How quick and how quiet the screen is, in a real pseudo-terminal: a table, and JSON if asked.

    python -m benchmarks.screen [--json FILE] [--peers DIR] [--quick]

Every figure is taken from outside: bytes that come out of the terminal's other side, time of the
process in /proc. Times hold for a machine that does nothing else; the load at the start is told.
Harlequin and Posting are measured beside, in turn with ours, where they are found: as
`DIR/harlequin/bin/harlequin` and `DIR/posting/bin/posting` (a virtual environment each) or on PATH.
The exit status is 1 when a goal was missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import screen_load, screen_start
from benchmarks.screen_start import ROUNDS, Program, middle

RATE, RUNS, ROWS, POINTS, CUTS = 1000, 200, 100_000, 100_000, 5


@dataclass
class Row:
    """One figure; `goal` is a limit it must stay below. `peer` is None where none was measured."""

    name: str
    ours: float
    unit: str
    goal: float | None = None
    peer: float | None = None
    note: str = ""
    ratio: float | None = None
    met: bool | None = None

    def judge(self) -> Row:
        """Fill in what follows from the figures."""
        self.ratio = round(self.ours / self.peer, 3) if self.peer else None
        self.met = self.ours < self.goal if self.goal is not None else None
        return self


def start_up(place: Path, peers: str) -> Iterator[Row]:
    """Starts, ours and theirs in turn; then the idle screen."""
    ours, *others = screen_start.starts(place, peers)
    note = f"median of {ROUNDS}, in turn with the peers"
    yield Row("first paint", middle(ours.paint_s), "s", 0.6, note=note)
    yield Row("usable: a key is accepted", middle(ours.usable_s), "s", 1.0, note=note)
    yield Row("memory, no run open", middle(ours.memory_mb), "MB", 90, note="resident")
    for peer in others:
        yield from _beside(ours, peer)
    quiet = screen_start.idle(place)
    yield Row("idle processor time", quiet.cpu, "%", 2)
    yield Row("idle bytes", quiet.bytes_per_s, "B/s", 1, note="goal: none")
    many = screen_start.idle(place, RUNS)
    note = f"{RUNS} runs in the list"
    yield Row("first paint, many runs", many.paint_s, "s", 0.6, note=note)
    yield Row("idle processor time, many runs", many.cpu, "%", 2, note=note)


def _beside(ours: Program, peer: Program) -> Iterator[Row]:
    for name, mine, theirs, unit in (
        ("first paint", ours.paint_s, peer.paint_s, "s"),
        ("usable", ours.usable_s, peer.usable_s, "s"),
        ("memory", ours.memory_mb, peer.memory_mb, "MB"),
    ):
        figure = middle(theirs) if theirs and not peer.trouble else None
        yield Row(f"{name} beside {peer.name}", middle(mine), unit, peer=figure, note=peer.trouble)


def flood(place: Path) -> Iterator[Row]:
    """A run that writes many events a second, while keys are pressed in its chart."""
    found = screen_load.flood(place, RATE)
    waits = [seconds * 1000 for seconds in found.waits_s]
    note = f"{RATE:,} events a second, {screen_load.WIDE[0]}x{screen_load.WIDE[1]}"
    yield Row("key to frame, p99", waits[len(waits) * 99 // 100 - 1], "ms", 50, note=note)
    yield Row("key to frame, median", statistics.median(waits), "ms", note=note)
    yield Row("bytes under load", found.kilobytes_per_s, "kB/s", 40, note=note)
    yield Row("processor time under load", found.cpu, "%", note=note)
    yield Row("steps lost", found.lost, "steps", 1, note=f"of {found.steps:,}, in the saved table")


def opening(place: Path, events: int) -> Iterator[Row]:
    """A very long run, from the command to the whole curve."""
    found = screen_load.opening(place, events)
    note = f"{events:,} events, start of the program included"
    yield Row("a long run: first sight", found.first_s, "s", note=note)
    yield Row("a long run: whole curve", found.whole_s, "s", 6, note=note)
    yield Row("a long run: wrong points", found.wrong, "steps", 1, note="every step compared")
    yield Row("a long run: memory", found.memory_mb, "MB", note=note)


def data(place: Path) -> Iterator[Row]:
    """A large data set, from the key of its pane."""
    first, whole = screen_load.data(place, ROWS)
    yield Row("a data set: first rows", first, "s", 0.3, note=f"{ROWS:,} rows")
    yield Row("a data set: all counted", whole, "s", note=f"{ROWS:,} rows")


def hang_up(place: Path) -> Iterator[Row]:
    """The line is cut."""
    taken = screen_load.hang_up(place, CUTS)
    yield Row("gone after a hang-up", taken, "s", 2, note=f"the slowest of {CUTS}")


def chart(place: Path) -> Iterator[Row]:
    """Processor time of one more point in the large chart: computed, styled, compared."""
    from benchmarks.screen_chart import update_ms

    took = asyncio.run(update_ms(POINTS, screen_load.WIDE))
    wide, high = screen_load.WIDE
    yield Row("chart update", took, "ms", 15, note=f"{POINTS:,} points, smoothed, {wide}x{high}")


def measure(quick: bool, peers: str) -> list[Row]:
    """All rows, each part in a place of its own."""
    events = 100_000 if quick else 1_000_000
    parts: list[Callable[[Path], Iterator[Row]]] = [
        lambda place: start_up(place, peers),
        flood,
        lambda place: opening(place, events),
        chart,
        data,
        hang_up,
    ]
    rows: list[Row] = []
    for part in parts:
        with tempfile.TemporaryDirectory() as name:
            rows += [row.judge() for row in part(Path(name))]
    return rows


def table(rows: list[Row]) -> str:
    """The rows for the eye."""
    lines = [f"{'':31} {'ours':>8} {'goal':>7} {'peer':>8} {'ratio':>6}  met"]
    for row in rows:
        goal = "" if row.goal is None else f"< {row.goal:g}"
        peer = "" if row.peer is None else f"{row.peer:.2f}"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        met = {True: "yes", False: "NO", None: ""}[row.met]
        figures = f"{row.ours:>8.2f} {goal:>7} {peer:>8} {ratio:>6}"
        lines.append(f"{row.name:31} {figures}  {met:3} {row.unit:5} {row.note}".rstrip())
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the rows there as well")
    parser.add_argument("--peers", metavar="DIR", default="", help="where the peers are installed")
    parser.add_argument("--quick", action="store_true", help="a tenth of the long run")
    args = parser.parse_args()
    load, cores = os.getloadavg()[0], os.cpu_count()
    print(f"load {load:.1f} on {cores} cores before the first measurement", flush=True)
    rows = measure(args.quick, args.peers)
    print(table(rows))
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0 if all(row.met is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
