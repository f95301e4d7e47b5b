"""One measured figure, beside a peer's and a goal, as a line of a table or of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal


@dataclass
class Figure:
    """`goal` is a limit: the figure must be `better` (lower or higher) than it, or equal.

    `ratio` is how many times better than the peer ours is, whichever way is better.
    """

    name: str
    ours: float
    unit: str
    better: Literal["lower", "higher"] = "lower"
    goal: float | None = None
    peer: float | None = None
    note: str = ""
    goal_ratio: float | None = None

    @property
    def ratio(self) -> float | None:
        if not self.peer or not self.ours:
            return None
        return self.ours / self.peer if self.better == "higher" else self.peer / self.ours

    @property
    def met(self) -> bool | None:
        """Whether the goals are met; None where there is none, or no peer to compare with."""
        found = []
        if self.goal is not None:
            found.append(
                self.ours <= self.goal if self.better == "lower" else self.ours >= self.goal
            )
        if self.goal_ratio is not None and self.ratio is not None:
            found.append(self.ratio >= self.goal_ratio)
        return all(found) if found else None

    def to_json(self) -> dict[str, object]:
        """The fields and what follows from them."""
        ratio = None if self.ratio is None else round(self.ratio, 3)
        return asdict(self) | {"ratio": ratio, "met": self.met}


def table(figures: Iterable[Figure]) -> str:
    """The figures in columns."""
    head = ("", "ours", "unit", "peer", "ratio", "goal", "met", "")
    lines = [head, *(_line(figure) for figure in figures)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if n in (0, 2, 7) else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def tell(figures: list[Figure], json_path: str) -> int:
    """Print the table, write JSON where a path is given; the exit status: 1 for a goal missed."""
    print(table(figures))
    if json_path:
        save(json_path, figures)
    return 0 if all(figure.met is not False for figure in figures) else 1


def save(path: str, figures: Iterable[Figure]) -> None:
    """The figures as a JSON list."""
    Path(path).write_text(json.dumps([figure.to_json() for figure in figures], indent=2) + "\n")


def _line(figure: Figure) -> tuple[str, ...]:
    sign = "<= " if figure.better == "lower" else ">= "
    goals = [] if figure.goal is None else [sign + _number(figure.goal)]
    goals += [] if figure.goal_ratio is None else [f"{figure.goal_ratio:g}x"]
    met = {None: "", True: "yes", False: "NO"}[figure.met]
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}x"
    peer = "" if figure.peer is None else _number(figure.peer)
    own = _number(figure.ours)
    return figure.name, own, figure.unit, peer, ratio, ", ".join(goals), met, figure.note


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
