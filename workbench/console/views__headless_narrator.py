"""Which events become lines that stay on the screen: a run's story, told once.

Warnings are told once each, however often a worker repeats them (after a resume it does).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from workbench.reports import status_text
from workbench.run import events
from workbench.run.log import Record
from workbench.run.state import RunState
from workbench.core.text import one_line

LINE_WIDTH = 400


class Narrator:
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
                return status_text.finished(state.stages[record.stage], state)
            case events.StageSkipped(reason=reason):
                return f"✓ {name:{status_text.NAME_WIDTH}} skipped: {one_line(reason, LINE_WIDTH)}"
            case events.Resumed(from_step=step):
                return f"  {name} resumes after step {step:,}"
            case events.TrainingPlanned(processes=count) as plan if count > 1:
                share = ", weights sharded" if plan.shared else ""
                return f"  {name:{status_text.NAME_WIDTH}} on {count} processes ({plan.device}){share}"
            case events.MemoryMeasured() as memory:
                return f"  {name:{status_text.NAME_WIDTH}} {status_text.memory(memory)}"
            case events.CheckpointRefused(path=path, reason=reason):
                return f"! skipped {one_line(path)}: {one_line(reason, LINE_WIDTH)}"
        return ""
