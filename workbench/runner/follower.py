"""Follow a run's event log until its worker has ended; hand Ctrl+C on as a request to stop.

The worker is asked whether it lives before the log is read: what it wrote last is then read too.
An owner stops its worker (once: at the next safe point; twice: SIGTERM); a mere watcher leaves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from workbench.runner.follower__headless_interrupts import Interrupts
from workbench.console.views import View
from workbench.run import control, launch
from workbench.run.events import ENDINGS, Event, RunStarted
from workbench.run.folder import RunFolder
from workbench.run.log import EventReader, Record
from workbench.run.state import RunState

POLL_S = 0.2
ASK_AGAIN_S = 1.0
SIGNAL_AGAIN_S = 1.0
GRACE_S = 5.0


class Follower:
    """Reads one run. `ending` is the event that the life being followed ended with, if it did."""

    def __init__(self, run: RunFolder, view: View) -> None:
        self.run, self.view = run, view
        self.state = RunState()
        self.ending: Event | None = None
        self.left = False
        self._reader = EventReader(run.events_file)
        self._trouble = ""

    def catch_up(self) -> None:
        """Take in what earlier lives of the run wrote, without showing it."""
        self.state.apply(self._reader.poll())

    def watch(self, working: Callable[[], bool], interrupts: Interrupts) -> None:
        """Show the log until the worker has ended or Ctrl+C; `left` tells which."""
        while self._step(working):
            interrupts.wait(POLL_S)
            if interrupts.count:
                self.left = True
                return

    def own(self, working: Callable[[], bool], interrupts: Interrupts) -> None:
        """Show the log until the worker has ended; ask it to stop on Ctrl+C."""
        stopping = _Stopping(self.run, self.view)
        while self._step(working):
            interrupts.wait(POLL_S)
            if interrupts.count and stopping.is_over(interrupts.count):
                self._step(working)
                self.left = True
                return

    def _step(self, working: Callable[[], bool]) -> bool:
        """One poll; False once the worker has ended and its last word is read."""
        at_work = working()
        records = self._reader.poll()
        if self._reader.restarted:
            self.state, self.ending = RunState(), None
            self.view.tell("! the event log was replaced or truncated; reading it again")
        if self._reader.trouble and self._reader.trouble != self._trouble:
            self.view.tell(f"! the event log cannot be read: {self._reader.trouble}")
        self._trouble = self._reader.trouble
        self._take(records)
        return at_work

    def _take(self, records: Sequence[Record]) -> None:
        self.state.apply(records)
        for record in records:
            if isinstance(record.event, ENDINGS):
                self.ending = record.event
            elif isinstance(record.event, RunStarted):
                self.ending = None
        self.view.show(self.state, records)


class _Stopping:
    """Ctrl+C, by how often it came."""

    def __init__(self, run: RunFolder, view: View) -> None:
        self._run, self._view = run, view
        self._asked_at = float("-inf")
        self._signalled_at: float | None = None
        self._left_at = 0.0

    def is_over(self, count: int) -> bool:
        """Act on `count` interrupts; True when the front should not wait any longer."""
        if count >= 2:
            return self._leave()
        first = self._asked_at == float("-inf")
        if first:
            self._view.tell(
                "  stopping at the next safe point with a checkpoint; Ctrl+C again stops at once"
            )
        if time.monotonic() - self._asked_at >= ASK_AGAIN_S:
            self._asked_at = time.monotonic()
            control.ask(self._run.control, "stop")  # again: a worker just starting clears it
        return False

    def _leave(self) -> bool:
        """SIGTERM, and another for a worker amid a long step; then no more waiting for it."""
        now = time.monotonic()
        if self._signalled_at is None:
            self._left_at = now
            self._view.tell("  stopping at once")
        if self._signalled_at is None or now - self._signalled_at >= SIGNAL_AGAIN_S:
            self._signalled_at = now
            launch.terminate(self._run)
        return now - self._left_at > GRACE_S
