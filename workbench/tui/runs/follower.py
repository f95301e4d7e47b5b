"""One run that is followed line by line: its state, and its curves in a compact form.

`RunState` would keep every step as an object; here a step's figures go into the curves and only
the first and the last steps stay in the state, so that a million of them fit.
"""

from __future__ import annotations

from collections.abc import Callable

from workbench.run import events
from workbench.run.event_lines import StepBatch, step_batches
from workbench.run.folder import RunFolder
from workbench.run.lock import Owner
from workbench.run.log import EventReader
from workbench.run.state import RunState, rollback_step
from workbench.tui.chart.curves import StageCurves

SLICE_BYTES = 1 << 18
EVALUATE = "evaluate"


class RunFollower:
    """A run's log, read on by each `poll`. `version` rises with every poll that brought news."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.state = RunState()
        self.curves: dict[str, StageCurves] = {}
        self.answered: list[events.Answered] = []  # of an evaluation that is not done yet
        self.version = 0
        self.behind = True
        self.trouble = ""
        self.owner: Owner | None = None
        self._reader = EventReader(run.events_file)

    @property
    def at_work(self) -> bool:
        """Whether a worker holds the run, as of the last poll."""
        return self.owner is not None

    @property
    def trained_stage(self) -> str:
        """The training stage to show: the running one, or the last that has steps; "" for none."""
        if self.state.stage in self.curves:
            return self.state.stage
        return next(reversed(self.curves), "")

    def poll(self, until: float, now: Callable[[], float], owner: Owner | None) -> bool:
        """Take in slices of the log until its end or the time `until`; True if there was news."""
        news = owner != self.owner
        self.owner = owner
        while True:
            lines = self._reader.poll_lines(SLICE_BYTES)
            if self._reader.restarted:
                self.state, self.curves, self.answered = RunState(), {}, []
                news = True
            self._take(lines)
            news = news or bool(lines)
            self.behind = self._reader.behind
            if not self.behind or now() >= until:
                break
        self.trouble = self._reader.trouble
        self.version += news
        return news

    def _take(self, lines: list[bytes]) -> None:
        for part in step_batches(lines):
            if isinstance(part, StepBatch):
                self._take_steps(part)
            elif record := self._reader.record(part):
                if record.stage:
                    self._draw(record.stage, record.event)
                self.state.apply([record])
        for stage in self.state.stages.values():
            if len(stage.steps) > 2:
                stage.steps = [stage.steps[0], *stage.steps[-1:]]

    def _take_steps(self, batch: StepBatch) -> None:
        """The curves get every step, the state the first and the last."""
        ends = [batch.first] if len(batch.rows) == 1 else [batch.first, batch.last]
        records = [record for line in ends if (record := self._reader.record(line))]
        self.state.apply(records)
        if records and isinstance(last := records[-1].event, events.Step):
            self._curves(records[0].stage).add_steps(batch.columns(), last.steps)

    def _draw(self, stage: str, event: events.Event) -> None:
        step = rollback_step(event)
        if step is not None and stage in self.curves:
            self.curves[stage].forget_after(step)
        match event:
            case events.Step():
                self._curves(stage).add_step(event)
            case events.Validated():
                self._curves(stage).add_validation(event)
            case events.GeneralMeasured():
                self._curves(stage).add_general(event)
            case events.Answered():
                self.answered.append(event)
            case events.StageStarted() | events.StageDone() if stage == EVALUATE:
                self.answered = []

    def _curves(self, stage: str) -> StageCurves:
        if stage not in self.curves:
            self.curves[stage] = StageCurves()
        return self.curves[stage]
