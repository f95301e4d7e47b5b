"""Starting: first picture, first key, memory, and what the screen costs when nothing happens.

Harlequin and Posting are started in turn with ours, in the same terminal of the same size. All
three are asked for their command palette as soon as their first picture begins; when it is there
the key was accepted.
"""

from __future__ import annotations

import shutil
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.screen_runs import many_runs
from benchmarks.terminal import SCREEN, Terminal

PEERS = ("harlequin", "posting")
ROUNDS = 5
FRAME = b"\x1b[1;1H"  # a picture begins at the top left corner
PALETTE_KEY, PALETTE = "\x10", b"earch for"  # ctrl+p; the cursor stands on the S
SETTLE_S, IDLE_S = 6.0, 6.0


@dataclass
class Program:
    """What is started, and what came of it; `trouble` says why it did not start."""

    name: str
    command: list[str]
    trouble: str = ""
    paint_s: list[float] = field(default_factory=list)
    usable_s: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)

    def start(self, place: Path) -> None:
        """One start, up to the palette."""
        began = time.monotonic()
        with Terminal(self.command, place) as screen:
            screen.until(FRAME, limit_s=20)
            paint = time.monotonic() - began
            screen.type(PALETTE_KEY)
            screen.until(PALETTE, limit_s=20)
            self.usable_s.append(time.monotonic() - began)
            self.paint_s.append(paint)
            self.memory_mb.append(screen.memory_bytes() / 1e6)


def found(name: str, folder: str) -> Program:
    """A peer: `FOLDER/NAME/bin/NAME`, a virtual environment each, or what is on PATH."""
    program = Path(folder, name, "bin", name)
    place = str(program) if folder and program.exists() else shutil.which(name)
    return Program(name, [place] if place else [], "" if place else "not installed")


def starts(place: Path, peers: str) -> list[Program]:
    """Ours and the peers, each started so many times in turn, after one start that does not count.

    A peer that fails is out; ours may not fail.
    """
    programs = [Program("workbench", SCREEN), *(found(name, peers) for name in PEERS)]
    for number in range(ROUNDS + 1):
        for program in programs:
            if not program.trouble:
                _try(program, place, counts=number > 0)
    return programs


def _try(program: Program, place: Path, counts: bool) -> None:
    try:
        program.start(place)
    except RuntimeError as error:
        if program.command == SCREEN:
            raise
        program.trouble = str(error).partition(":")[0]
    if not counts:
        program.paint_s, program.usable_s, program.memory_mb = [], [], []


@dataclass(frozen=True)
class Idle:
    """Of a screen without news: first picture, processor time in percent, bytes a second."""

    paint_s: float
    cpu: float
    bytes_per_s: float


def idle(place: Path, runs: int = 0) -> Idle:
    """With so many runs in the list, none of them at work."""
    many_runs(place / "runs", runs)
    began = time.monotonic()
    with Terminal(SCREEN, place) as screen:
        screen.until(FRAME)
        paint = time.monotonic() - began
        screen.read_all(SETTLE_S)
        cpu, began, seen = screen.cpu_s(), time.monotonic(), len(screen.output)
        screen.read_all(IDLE_S)
        wall = time.monotonic() - began
        return Idle(paint, (screen.cpu_s() - cpu) / wall * 100, (len(screen.output) - seen) / wall)


def middle(figures: list[float]) -> float:
    """The median."""
    return statistics.median(figures)
