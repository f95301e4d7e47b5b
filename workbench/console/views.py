"""Three ways to show a run: plain lines, JSON lines, and (in `live`) one moving line per stage.

A view gets every poll; it writes only complete lines and keeps no state of the run. `EventLines`
decides which events become permanent lines. Each warning is printed once, however often a worker
repeats it (after a resume it does).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TextIO

from workbench.core.text import one_line, visible
from workbench.reports import status_text
from workbench.run import events
from workbench.run.event_lines import Record, to_line
from workbench.run.state import RunState, StageState

LINE_WIDTH = 400


class EventLines:
    """Feed it the records of each poll, with the state after them."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def lines(self, records: Iterable[Record], state: RunState) -> Iterator[str]:
        """The lines that these records give rise to."""
        for record in records:
            line = self._line(record, state)
            if line and line not in self._told:
                self._told.add(line)
                yield line

    def _line(self, record: Record, state: RunState) -> str:
        name = status_text.label(record.stage)
        match record.event:
            case events.Note(level="warning", message=message):
                return f"! {one_line(message, LINE_WIDTH)}"
            case events.Note(message=message):
                return f"  {one_line(message, LINE_WIDTH)}"
            case events.StageDone():
                return status_text.finished_text(state.stages[record.stage], state)
            case events.StageSkipped(reason=reason):
                return f"✓ {name:{status_text.NAME_WIDTH}} skipped: {one_line(reason, LINE_WIDTH)}"
            case events.Resumed(from_step=step):
                return f"  {name} resumes after step {step:,}"
            case events.TrainingPlanned(processes=count) as plan if count > 1:
                share = ", weights sharded" if plan.shared else ""
                return (
                    f"  {name:{status_text.NAME_WIDTH}} on {count} processes ({plan.device}){share}"
                )
            case events.MemoryMeasured() as memory:
                return f"  {name:{status_text.NAME_WIDTH}} {status_text.memory(memory)}"
            case events.CheckpointRefused(path=path, reason=reason):
                return f"! skipped {one_line(path)}: {one_line(reason, LINE_WIDTH)}"
        return ""


LINE_EVERY_S = 1.0
QUIET_S = 30.0
SHARE_A_LINE = 0.05


class JsonView:
    """Every record as one line on stdout, as it stands in the log; words go to stderr."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out, self._err = out, err

    def show(self, state: RunState, records: Sequence[Record]) -> None:
        for record in records:
            self._out.write(to_line(record).decode())
        if records:
            self._out.flush()

    def tell(self, line: str) -> None:
        print(visible(line), file=self._err, flush=True)

    def close(self) -> None:
        self._out.flush()


class PlainView:
    """For logs and pipes: at most a line a second, and only where there is something new."""

    def __init__(self, err: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        self._err, self._now = err, now
        self._narrator = EventLines()
        self._stage = ""
        self._told_at = 0.0
        self._told_share = 0.0

    def show(self, state: RunState, records: Sequence[Record]) -> None:
        for line in self._narrator.lines(records, state):
            self.tell(line)
        stage = state.stages.get(state.stage)
        if records and stage and stage.status == "running":
            self._progress(stage)

    def tell(self, line: str) -> None:
        print(visible(line), file=self._err, flush=True)

    def close(self) -> None:
        self._err.flush()

    def _progress(self, stage: StageState) -> None:
        phrase = status_text.running_text(stage)
        if not self._is_due(stage.name, phrase.share or 0.0):
            return
        percent = "" if phrase.share is None else f"{phrase.share:4.0%}"
        parts = [
            f"  {status_text.label(stage.name):{status_text.NAME_WIDTH}}",
            percent,
            phrase.text,
        ]
        self.tell("  ".join(part for part in (*parts, phrase.left) if part.strip()))

    def _is_due(self, stage: str, share: float) -> bool:
        """A new stage at once; then a line for every 5 %, a second apart, or half a minute."""
        now = self._now()
        since = now - self._told_at
        if stage == self._stage and since < LINE_EVERY_S:
            return False
        far = abs(share - self._told_share) >= SHARE_A_LINE
        if stage == self._stage and not far and since < QUIET_S:
            return False
        self._stage, self._told_at, self._told_share = stage, now, share
        return True
