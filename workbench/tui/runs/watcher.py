"""The runs as the screen sees them: one poll reads what every watched log has new.

Opened runs (the current one, the pinned ones, those at work) are followed line by line; of the
others only the glance is kept, and read again when their log has changed. A poll takes no longer
than a slice of time, however many and long the logs are: neither the first picture nor a key waits
for them.

Polling, and no watcher of the file system: the look at 200 runs costs less than half a percent of
a processor, the import of a watcher alone 50 ms of the start; and there is none on network drives,
where runs live as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from workbench.reports.run_overview import RunOverview, glance
from workbench.run import lock
from workbench.run.folder import RunFolder, list_runs
from workbench.run.log import EventReader, LogSkimmer
from workbench.run.state import RunState
from workbench.tui.runs.follower import SLICE_BYTES, RunFollower

LOOK_EVERY_S = 1.0
LIST_EVERY_S = 10.0
SETTLED_S = 5.0  # a folder changed more recently may change again within the clock's grain
SLICE_S = 0.02
KEPT_IDLE = 4


@dataclass
class _Known:
    """What is kept of a run that nobody has opened: its glance, of the log when it had `size`."""

    glance: RunOverview
    size: int = -1


class _Skim:
    """A log being read for its glance, a slice at a time."""

    def __init__(self, run: RunFolder) -> None:
        self.size = _size(run.events_file)
        self._reader = EventReader(run.events_file)
        self._skimmer = LogSkimmer()

    def go_on(self, until: float, now: Callable[[], float]) -> bool:
        """Read on; True at the log's end, False when the time is over."""
        while now() < until:
            self._skimmer.take(self._reader.poll_lines(SLICE_BYTES))
            if not self._reader.behind:
                return True
        return False

    def state(self) -> RunState:
        """The run's state, as far as it was read."""
        state = RunState()
        state.apply(self._skimmer.records())
        return state


class RunWatcher:
    """All runs below a folder. `poll` is called a few times a second and returns what changed."""

    def __init__(self, root: Path, now: Callable[[], float] = time.monotonic) -> None:
        self.root = root
        self.runs: list[RunFolder] = []
        self.behind = False
        self._now = now
        self._known: dict[Path, _Known] = {}
        self._skims: dict[Path, _Skim] = {}
        self._open: dict[Path, RunFollower] = {}  # the one used last is the last
        self._wanted: set[Path] = set()
        self._looked_at = self._listed_at = float("-inf")
        self._root_changed = 0.0

    def want(self, paths: set[Path]) -> None:
        """These runs are to be followed; those at work are so besides."""
        self._wanted = set(paths)

    def followed(self, path: Path) -> RunFollower:
        """The run's state and curves, opened if it was not."""
        found = self._open.pop(path, None) or RunFollower(RunFolder(path))
        self._skims.pop(path, None)
        self._open[path] = found
        return found

    def glance(self, run: RunFolder) -> RunOverview:
        """The run's line for the list, as of the last poll."""
        known = self._known.get(run.path)
        return known.glance if known else RunOverview(run.name, "reading")

    def at_work(self, run: RunFolder) -> bool:
        """Whether a worker is on it, as of the last poll."""
        return self.glance(run).standing == "running"

    def list_again(self) -> None:
        """Look at all runs at the next poll: one was made, renamed, deleted or started."""
        self._looked_at = self._listed_at = float("-inf")

    def poll(self) -> set[Path]:
        """Read what is new. `behind` says that there is more than this slice could take."""
        began = self._now()
        looking = began - self._looked_at >= LOOK_EVERY_S
        changed: set[Path] = set()
        if looking:
            self._looked_at = began
            changed = self._list()
        for run in self.runs:
            if looking or run.path in self._open or run.path in self._wanted:
                changed |= self._look(run, began + SLICE_S)
        changed |= self._read_on(began + SLICE_S)
        self._close_idle()
        self.behind = bool(self._skims) or any(one.behind for one in self._open.values())
        return changed

    def _list(self) -> set[Path]:
        """List the runs if their folder has changed lately; whatever came or went."""
        changed_at = _changed_at(self.root)
        settled = changed_at == self._root_changed and time.time() - changed_at > SETTLED_S
        if settled and self._looked_at - self._listed_at < LIST_EVERY_S:
            return set()
        before = {run.path for run in self.runs}
        with suppress(OSError):  # one went while it was looked at; the next time will do
            self.runs = list_runs(self.root)[::-1]
            self._root_changed, self._listed_at = changed_at, self._now()
        after = {run.path for run in self.runs}
        for gone in before - after:
            self._known.pop(gone, None)
            self._open.pop(gone, None)
            self._skims.pop(gone, None)
        return before ^ after

    def _look(self, run: RunFolder, until: float) -> set[Path]:
        """Follow the run if it is open, wanted or at work; else see whether its log is another."""
        owner = lock.owner(run.lock_file)
        if run.path in self._wanted or owner:
            self.followed(run.path)
        followed = self._open.get(run.path)
        if followed:
            changed = followed.poll(until, self._now, owner)
            if owner or not followed.behind:  # of a log half read the end may be missing
                changed |= self._keep(run, _Known(glance(run, owner, followed.state)))
            return {run.path} if changed else set()
        known = self._known.get(run.path)
        if run.path not in self._skims and (not known or known.size != _size(run.events_file)):
            self._skims[run.path] = _Skim(run)
        return set()

    def _read_on(self, until: float) -> set[Path]:
        """Go on with the logs that are read for a glance."""
        done: set[Path] = set()
        for path, skim in list(self._skims.items()):
            if not skim.go_on(until, self._now):
                break
            del self._skims[path]
            run = RunFolder(path)
            if self._keep(run, _Known(glance(run, None, skim.state()), skim.size)):
                done.add(path)
        return done

    def _keep(self, run: RunFolder, seen: _Known) -> bool:
        """Remember how the run looks; True if that is another look."""
        before = self._known.get(run.path)
        self._known[run.path] = seen
        return before is None or before.glance != seen.glance

    def _close_idle(self) -> None:
        """Of the runs that are followed no more, keep the last few: one may come back to them."""
        idle = [p for p, run in self._open.items() if p not in self._wanted and not run.at_work]
        for path in idle[:-KEPT_IDLE]:
            del self._open[path]


def _changed_at(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
