"""Follow a run's event log until its worker has ended; pass Ctrl+C on as a request to stop.

The worker's lock is checked before the log is read, so that its last events are read too. An owner
stops its worker (Ctrl+C once: at the next safe point; twice: SIGTERM); a watcher only leaves.
Ctrl+C and SIGTERM to this process are counted and do not kill it. SIGHUP does: a lost terminal ends
it, and the worker continues.

A run's end is one line and an exit status.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any, Protocol, Self

from workbench.core.errors import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED
from workbench.core.text import one_line, visible
from workbench.run import control, events, launch
from workbench.run.event_lines import Record
from workbench.run.events import ENDINGS, Event, RunStarted
from workbench.run.folder import RunFolder
from workbench.run.log import EventReader
from workbench.run.state import RunState

COUNTED = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """`with Interrupts() as interrupts:` counts; handlers are put back on leaving.

    Only the main thread may install handlers.
    """

    def __init__(self) -> None:
        self.count = 0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in COUNTED:
            self._before[number] = signal.signal(number, self._count)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def wait(self, seconds: float) -> None:
        """Sleep, but not beyond the next interrupt."""
        count, until = self.count, time.monotonic() + seconds
        while self.count == count and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))

    def _count(self, number: int, frame: FrameType | None) -> None:
        self.count += 1


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
            control.send_request(
                self._run.control, "stop"
            )  # again: a worker just starting clears it
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


LOG_TAIL_BYTES = 8192


@dataclass(frozen=True)
class Outcome:
    """The exit status, and the last line for the person ("" when all went well)."""

    status: int
    line: str = ""


def outcome(
    run: RunFolder, state: RunState, ending: events.Event | None, returncode: int | None = None
) -> Outcome:
    """What the worker's last event says, or, without one, that it died and how.

    `returncode` is the worker's, where it is known: negative for a signal.
    """
    match ending:
        case events.RunDone():
            return Outcome(EXIT_DONE)
        case events.RunFailed():
            return Outcome(ending.status, visible(ending.error))
        case events.RunStopped():
            return Outcome(EXIT_INTERRUPTED, f"stopped{_kept(run, state)}")
    return Outcome(EXIT_FAILED, f"the worker died{_cause(run, returncode)}{_kept(run, state)}")


def interrupted(run: RunFolder, state: RunState, at_work: bool) -> Outcome:
    """The front left after a second Ctrl+C, with the worker gone or still at it."""
    if at_work:
        line = f"the worker is still running; watch it: workbench attach {run.name}"
        return Outcome(EXIT_INTERRUPTED, line)
    return Outcome(EXIT_INTERRUPTED, f"aborted{_kept(run, state)}")


def _kept(run: RunFolder, state: RunState) -> str:
    stage = state.stages.get(state.stage)
    step = stage.saved_step if stage else 0
    kept = f"progress up to step {step:,} is saved" if step else "finished stages are kept"
    return f"; {kept}: workbench resume {run.name}"


def _cause(run: RunFolder, returncode: int | None) -> str:
    if returncode is not None and returncode < 0:
        memory = ", possibly out of memory" if returncode == -signal.SIGKILL else ""
        return f" (signal {-returncode}{memory})"
    last = _last_line(run)
    said = f"; last log line: {last}" if last else ""
    return f" (exit status {returncode}{said})" if returncode is not None else said


def _last_line(run: RunFolder) -> str:
    """The last thing that the worker or a library of its wrote to `worker.log`."""
    try:
        with open(run.log_file, "rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - LOG_TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    said = [line for line in lines if line.strip()]
    return one_line(said[-1], 200) if said else ""


class View(Protocol):
    """What `follow` needs of a view."""

    def show(self, state: RunState, records: Sequence[Record]) -> None:
        """New records, and the state after them; called at every poll, also without any."""

    def tell(self, line: str) -> None:
        """A line from the front itself, not from the worker."""

    def close(self) -> None:
        """Leave the terminal as it was."""
