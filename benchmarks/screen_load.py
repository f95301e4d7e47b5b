"""The screen at work: floods of events, very long runs, large data, and a line that is cut."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.screen_runs import Feeder, big_run, wrong_points
from benchmarks.terminal import SCREEN, Terminal

WIDE = (160, 48)
KEYS = 200
QUIET_S = 8.0


@dataclass(frozen=True)
class Flood:
    """While a run writes many events a second: seconds from a key to its frame, and the costs."""

    waits_s: list[float]  # rising
    kilobytes_per_s: float
    cpu: float  # percent
    steps: int
    lost: int


def flood(place: Path, rate: int) -> Flood:
    """Watch such a run's curve, press keys in it, and count what has arrived."""
    with Feeder(place / "runs", rate) as feeder:
        remember(place, run=str(feeder.run), pane="train")
        with Terminal(SCREEN, place, WIDE) as screen:
            screen.until(b"running")
            screen.read_all(1.0)
            cpu, began, seen = screen.cpu_s(), time.monotonic(), len(screen.output)
            screen.read_all(QUIET_S)
            busy, wall = screen.cpu_s() - cpu, time.monotonic() - began
            output = len(screen.output) - seen
            waits = sorted(_key_to_frame(screen, number) for number in range(KEYS))
            at, steps = len(screen.output), feeder.stop()
            screen.until(b"done", start=at)
            drawn = len(_saved(screen, place).read_text().splitlines()) - 1
    return Flood(waits, output / wall / 1000, busy / wall * 100, steps, steps - drawn)


def _key_to_frame(screen: Terminal, number: int) -> float:
    """Seconds from a key to the words that only it brings about."""
    key, word = ("]", b"smoothing 0.8") if number % 2 == 0 else ("[", b"smoothing 0.6")
    screen.read_all(0.08)
    at = len(screen.output)
    began = time.monotonic()
    screen.type(key)
    screen.until(word, start=at)
    return time.monotonic() - began


def _saved(screen: Terminal, place: Path) -> Path:
    """Have the screen save all figures of its curves."""
    at = len(screen.output)
    screen.type("C\x15all.csv\r")  # ctrl+u empties the line
    screen.until(b"saved ", start=at)
    return place / "all.csv"


@dataclass(frozen=True)
class Opening:
    """From the command to the first sight of a long run, and to its whole curve."""

    first_s: float
    whole_s: float
    memory_mb: float
    wrong: int


def opening(place: Path, events: int) -> Opening:
    """A run that is not at work; its best loss is at a known step, and every point is compared."""
    run, best = big_run(place / "runs", events)
    remember(place, run=str(run), pane="train")
    began = time.monotonic()
    with Terminal(SCREEN, place, WIDE) as screen:
        screen.until(b"reading the log")
        first = time.monotonic() - began
        screen.until(best, limit_s=120)
        screen.until(b"done")
        whole = time.monotonic() - began
        memory = screen.memory_bytes() / 1e6
        wrong = wrong_points(_saved(screen, place), events)
    return Opening(first, whole, memory, wrong)


def data(place: Path, rows: int) -> tuple[float, float]:
    """Seconds from the key of the Data pane to the first rows, and to the count of all."""
    path = place / "rows.jsonl"
    with open(path, "w") as file:
        for number in range(rows):
            prompt = f"Question {number}: which number comes after {number}?"
            file.write(json.dumps({"prompt": prompt, "completion": f"It is {number + 1}."}) + "\n")
    remember(place, data=str(path))
    with Terminal(SCREEN, place, WIDE) as screen:
        screen.until(b"No runs yet")
        screen.read_all(1.0)
        began = time.monotonic()
        screen.type("2")
        screen.until(b"Question 7: which")
        first = time.monotonic() - began
        screen.until(f"{rows:,} rows".encode())
        return first, time.monotonic() - began


def hang_up(place: Path, times: int) -> float:
    """The longest that the screen took to be gone after its line was cut."""
    taken = []
    for number in range(times):
        with Terminal(SCREEN, place) as screen:
            screen.until(b"No runs yet")
            screen.read_all(0.1 * number)
            taken.append(screen.hang_up())
    return max(taken)


def remember(place: Path, **fields: str) -> None:
    """The screen opens as it would after such a last time."""
    folder = place / "state" / "workbench"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "screen.json").write_text(json.dumps(fields))
