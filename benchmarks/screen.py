"""How quick and how quiet the screen is, in a real pseudo-terminal: a table, and JSON if asked.

    python -m benchmarks.screen [--json FILE] [--quick]

Every figure is taken from outside: bytes that come out of the terminal's other side, time of the
process in /proc. Times hold for a machine that does nothing else; the load at the start is told.
Harlequin and Posting are measured beside where they are on PATH.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.screen_runs import Feeder, big_run
from benchmarks.terminal import Terminal

SCREEN = [sys.executable, "-m", "workbench"]
WIDE = (160, 48)
STARTS = 5
KEYS = 100
QUIET_S = 8.0


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


def start_up(place: Path) -> list[Row]:
    """First paint and first answer to a key, without a run; memory, idle time and bytes."""
    starts = [_start_once(place) for _ in range(STARTS)]
    paints, answers, processor = zip(*starts, strict=True)
    with Terminal(SCREEN, place) as screen:
        screen.until(b"No runs here yet")
        screen.read_all(2.0)
        memory = screen.memory_bytes() / 1e6
        cpu, began, seen = screen.cpu_s(), time.monotonic(), len(screen.output)
        screen.read_all(6.0)
        wall = time.monotonic() - began
        idle_cpu = (screen.cpu_s() - cpu) / wall * 100
        idle_bytes = (len(screen.output) - seen) / wall
    note = f"median of {STARTS}"
    return [
        Row("first paint", statistics.median(paints), "s", 0.6, note=note),
        Row("usable (a key is answered)", statistics.median(answers), "s", 1.0, note=note),
        Row("processor time of a start", statistics.median(processor), "s", note=note),
        Row("memory, no run open", memory, "MB", 90),
        Row("idle processor time", idle_cpu, "%", 2),
        Row("idle bytes", idle_bytes, "B/s", 1, note="goal: none"),
    ]


def _start_once(place: Path) -> tuple[float, float, float]:
    """Seconds to the first paint, to the answer to a key, and of processor time till then."""
    began = time.monotonic()
    with Terminal(SCREEN, place) as screen:
        screen.until(b"1 Runs")
        paint = time.monotonic() - began
        screen.type("?")
        screen.until(b"Everywhere")
        return paint, time.monotonic() - began, screen.cpu_s()


def flood(place: Path, rate: int) -> list[Row]:
    """A run that writes `rate` events a second while keys are pressed in its chart."""
    with Feeder(place / "runs", rate) as feeder:
        _remember(place, feeder.run, "train")
        with Terminal(SCREEN, place, WIDE) as screen:
            screen.until(b"running")
            screen.read_all(1.0)
            cpu, began, seen = screen.cpu_s(), time.monotonic(), len(screen.output)
            screen.read_all(QUIET_S)
            busy = screen.cpu_s() - cpu
            wall, output = time.monotonic() - began, len(screen.output) - seen
            before, keys_began = screen.cpu_s(), time.monotonic()
            waits = [_key_to_frame(screen, number) for number in range(KEYS)]
            for_keys = screen.cpu_s() - before - busy / wall * (time.monotonic() - keys_began)
            at, steps = len(screen.output), feeder.stop()
            screen.until(b"done", start=at)
            lost = steps - _saved_steps(screen, place)
    waits.sort()
    note = f"{rate:,} events a second, {WIDE[0]}x{WIDE[1]}"
    return [
        Row("key to frame, p99", waits[KEYS * 99 // 100 - 1] * 1000, "ms", 50, note=note),
        Row("key to frame, median", waits[KEYS // 2] * 1000, "ms", note=note),
        Row("processor time of a key", max(0.0, for_keys) / KEYS * 1000, "ms", note=note),
        Row("bytes under load", output / wall / 1000, "kB/s", 40, note=note),
        Row("processor time under load", busy / wall * 100, "%", note=note),
        Row("steps lost", lost, "steps", 1, note=f"of {steps:,}, counted in the saved CSV"),
    ]


def _saved_steps(screen: Terminal, place: Path) -> int:
    """Have the screen save its curves; the number of steps in the file."""
    screen.type("C")
    screen.until(b"saved ")
    (path,) = place.glob("*.csv")
    return len(path.read_text().splitlines()) - 1


def _key_to_frame(screen: Terminal, number: int) -> float:
    """Seconds from a key to the words that only it brings about."""
    key, word = ("]", b"smoothing 0.8") if number % 2 == 0 else ("[", b"smoothing 0.6")
    screen.read_all(0.1)
    at = len(screen.output)
    began = time.monotonic()
    screen.type(key)
    screen.until(word, start=at)
    return time.monotonic() - began


def opening(place: Path, events: int) -> list[Row]:
    """From the command to the whole curve of a long run; its best loss is at a known step."""
    run, best = big_run(place / "runs", events)
    _remember(place, run, "train")
    began = time.monotonic()
    with Terminal(SCREEN, place, WIDE) as screen:
        screen.until(b"reading the log")
        first = time.monotonic() - began
        screen.until(best, limit_s=120)
        screen.until(b"done")
        whole = time.monotonic() - began
        memory = screen.memory_bytes() / 1e6
    note = f"{events:,} events, start of the program included"
    return [
        Row("a long run: first sight", first, "s", note=note),
        Row("a long run: whole curve", whole, "s", 6, note=note),
        Row("a long run: memory", memory, "MB", note=note),
    ]


def chart(points: int) -> list[Row]:
    """Processor time of one more point in the large chart: computed, styled, compared."""
    import asyncio

    from benchmarks.screen_chart import update_ms

    note = f"{points:,} points and validations, smoothed, {WIDE[0]}x{WIDE[1]}"
    return [Row("chart update", asyncio.run(update_ms(points, WIDE)), "ms", 15, note=note)]


def peers(place: Path) -> list[tuple[str, float | None]]:
    """First byte of Harlequin and Posting; None where not installed."""
    found: list[tuple[str, float | None]] = []
    for name in ("harlequin", "posting"):
        program = shutil.which(name)
        found.append((name, _first_byte([program], place) if program else None))
    return found


def _first_byte(command: list[str], place: Path) -> float:
    times = []
    for _ in range(3):
        began = time.monotonic()
        with Terminal(command, place) as screen:
            while not screen.output and time.monotonic() - began < 30:
                screen.read(0.05)
            times.append(time.monotonic() - began)
    return statistics.median(times)


def _remember(place: Path, run: Path, pane: str) -> None:
    """The screen opens with this run in this pane, as it would after the last time."""
    folder = place / "state" / "workbench"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "screen.json").write_text(json.dumps({"run": str(run), "pane": pane}))


def measure(quick: bool) -> list[Row]:
    """All rows, each part in a place of its own."""
    events = 100_000 if quick else 1_000_000
    parts: list[Callable[[Path], list[Row]]] = [
        start_up,
        lambda place: flood(place, 1000),
        lambda place: opening(place, events),
        lambda place: chart(100_000),
    ]
    rows: list[Row] = []
    for part in parts:
        with tempfile.TemporaryDirectory() as name:
            rows += part(Path(name))
    with tempfile.TemporaryDirectory() as name:
        for peer, seconds_to_byte in peers(Path(name)):
            ours = rows[0].ours
            note = "not installed" if seconds_to_byte is None else "its first byte"
            rows.append(
                Row(f"first paint beside {peer}", ours, "s", peer=seconds_to_byte, note=note)
            )
    return [row.judge() for row in rows]


def table(rows: list[Row]) -> str:
    """The rows for the eye."""
    lines = [f"{'':34} {'ours':>10} {'goal':>8} {'peer':>8}  met"]
    for row in rows:
        goal = "" if row.goal is None else f"< {row.goal:g}"
        peer = "" if row.peer is None else f"{row.peer:.2f}"
        met = {True: "yes", False: "NO", None: ""}[row.met]
        line = (
            f"{row.name:34} {row.ours:>10.2f} {goal:>8} {peer:>8}  {met:3} {row.unit:6} {row.note}"
        )
        lines.append(line.rstrip())
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", metavar="FILE", default="", help="write the rows there as well")
    parser.add_argument("--quick", action="store_true", help="a tenth of the long run")
    args = parser.parse_args()
    load, cores = os.getloadavg()[0], os.cpu_count()
    print(f"load {load:.1f} on {cores} cores before the first measurement", flush=True)
    rows = measure(args.quick)
    print(table(rows))
    if args.json:
        Path(args.json).write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
