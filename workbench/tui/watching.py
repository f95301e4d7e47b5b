"""The runs as the screen sees them: one poll reads what every watched log has new.

Opened runs (the current one, the pinned ones, those at work) are followed line by line; of the
others only the glance is kept, and read again when their log has changed. A poll takes a slice of
a long log at a time, so that opening a run of a million events never holds up a key.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workbench.run import lock
from workbench.run.folder import RunFolder, list_runs
from workbench.run.log import skim
from workbench.run.state import RunState
from workbench.tui.followed import Followed
from workbench.tui.glance import Glance, glance

LIST_EVERY_S = 1.0
SLICE_S = 0.02
SKIM_REST = 20.0  # a skim that took 0.1 s is not done again for 2 s


@dataclass
class _Known:
    """What is kept of a run that nobody has opened."""

    glance: Glance
    size: int
    due: float


class Watching:
    """All runs below a folder. `poll` is called a few times a second and returns what changed."""

    def __init__(self, root: Path, now: Callable[[], float] = time.monotonic) -> None:
        self.root = root
        self.runs: list[RunFolder] = []
        self.behind = False
        self._now = now
        self._known: dict[Path, _Known] = {}
        self._open: dict[Path, Followed] = {}
        self._wanted: set[Path] = set()
        self._listed_at = float("-inf")

    def want(self, paths: set[Path]) -> None:
        """These runs are to be followed; those at work are so besides."""
        self._wanted = set(paths)

    def followed(self, path: Path) -> Followed:
        """The run's state and curves, opened if it was not."""
        if path not in self._open:
            self._open[path] = Followed(RunFolder(path))
        return self._open[path]

    def glance(self, run: RunFolder) -> Glance:
        """The run's line for the list, as of the last poll."""
        return self._known[run.path].glance

    def at_work(self, run: RunFolder) -> bool:
        """Whether a worker is on it, as of the last poll."""
        known = self._known.get(run.path)
        return known is not None and known.glance.standing == "running"

    def list_again(self) -> None:
        """Look at the folder of runs at the next poll: one was made, renamed or deleted."""
        self._listed_at = float("-inf")

    def poll(self) -> set[Path]:
        """Read what is new. `behind` says that a log has more than this slice could take."""
        changed = self._list()
        until = self._now() + SLICE_S
        self.behind = False
        for run in self.runs:
            if self._look(run, until):
                changed.add(run.path)
        return changed

    def _list(self) -> set[Path]:
        now = self._now()
        if now - self._listed_at < LIST_EVERY_S:
            return set()
        self._listed_at = now
        before = {run.path for run in self.runs}
        self.runs = list_runs(self.root)[::-1]
        after = {run.path for run in self.runs}
        for gone in before - after:
            self._known.pop(gone, None)
            self._open.pop(gone, None)
        return before ^ after

    def _look(self, run: RunFolder, until: float) -> bool:
        owner = lock.owner(run.lock_file)
        if run.path in self._wanted or owner:
            self.followed(run.path)
        followed = self._open.get(run.path)
        if followed is None:
            return self._skim(run)
        changed = followed.poll(until, self._now, owner)
        self.behind = self.behind or followed.behind
        seen = glance(run, owner, followed.state)
        return self._keep(run, seen, 0, 0.0) or changed

    def _skim(self, run: RunFolder) -> bool:
        known, size = self._known.get(run.path), _size(run.events_file)
        began = self._now()
        if known and (known.size == size or began < known.due):
            return False
        state = RunState()
        state.apply(skim(run.events_file))
        due = self._now() + (self._now() - began) * SKIM_REST
        return self._keep(run, glance(run, None, state), size, due)

    def _keep(self, run: RunFolder, seen: Glance, size: int, due: float) -> bool:
        known = self._known.get(run.path)
        self._known[run.path] = _Known(seen, size, due)
        return known is None or known.glance != seen


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
