"""The table of runs: wide with all columns, narrow with the most needed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.text import Text

from workbench.core.text import one_line
from workbench.reports.run_overview import MARKS, RunOverview
from workbench.run.folder import RunFolder
from workbench.run.state import seconds_between
from workbench.tui.runs.watcher import RunWatcher
from workbench.tui.widgets.row_list import RowList

WIDE = 72
NARROW = 54
BAR_CELLS = 8
EIGHTHS = " ▏▎▍▌▋▊▉"
COLOURS = {"running": "green", "failed": "red", "died": "red", "stopped": "yellow"}


class RunTable(RowList):
    """One line a run; `runs` are those shown, `pinned` their paths in the order of pinning."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.runs: list[RunFolder] = []
        self.pinned: list[RunFolder] = []
        self._watching: RunWatcher | None = None
        self._minute = 0

    def show(self, watching: RunWatcher, runs: Sequence[RunFolder]) -> None:
        """Draw these runs as they are now."""
        self._watching, self.runs = watching, list(runs)
        self.changed(len(self.runs))

    def tick(self) -> None:
        """Draw again when a minute has passed: the ages have changed."""
        minute = int(time.time() // 60)
        if minute != self._minute:
            self._minute = minute
            self.refresh()

    def heads(self) -> str:
        """The titles of the columns at this width."""
        return _columns(
            self.size.width, " ", "run", "status", "stage", "progress", "best val", "age"
        )

    def row(self, index: int) -> Text:
        run = self.runs[index]
        assert self._watching is not None, "rows are drawn after show()"
        seen = self._watching.glance(run)
        pin = str(self.pinned.index(run) + 1) if run in self.pinned else " "
        loss = "" if seen.best_loss is None else f"{seen.best_loss:.4g}"
        line = _columns(
            self.size.width,
            pin,
            seen.name,
            seen.standing,
            _stage(seen),
            progress(seen),
            loss,
            ago(seen.last_time),
        )
        return Text.assemble((MARKS[seen.standing], COLOURS.get(seen.standing, "")), line)


def progress(seen: RunOverview) -> str:
    """`████▌    52% 1:20` of a running stage."""
    if seen.share is None or seen.standing != "running":
        return ""
    return f"{bar(seen.share, BAR_CELLS)} {seen.share:3.0%} {seen.left}"


def bar(share: float, cells: int) -> str:
    """A bar of that many cells, to an eighth of one."""
    eighths = round(max(0.0, min(1.0, share)) * cells * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[rest] if rest else "")).ljust(cells)


def ago(then: str) -> str:
    """How long ago a time of the log is: `now`, `5 min`, `3 h`, `2 d`; "" for none."""
    if not then:
        return ""
    seconds = seconds_between(then, datetime.now(UTC).isoformat())
    if seconds < 60:
        return "now"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} d"


def _stage(seen: RunOverview) -> str:
    return "" if seen.standing in ("done", "new") else seen.stage


def _columns(
    width: int, pin: str, name: str, state: str, stage: str, done: str, loss: str, age: str
) -> str:
    tail = f" {loss:>9} {age:>6} " if width >= NARROW else f" {loss:>9} "
    if width >= WIDE:
        tail = f" {state:8}{one_line(stage, 12):13}{done:19}{tail}"
    else:
        tail = f" {done[9:] or state:11}{tail}"
    room = max(8, width - len(tail) - 4)
    return f" {pin} {one_line(name, room):{room}}{tail}"
