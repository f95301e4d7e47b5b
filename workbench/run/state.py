"""What a run looks like now: the fold of its event log. Pure; the same log gives the same state.

Readers feed it the records of each poll. After a resume the steps beyond the checkpoint come
twice in the log: the first copy is dropped when the `resumed` event is met.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeVar

from workbench.run import events
from workbench.run.event_lines import Record

Point = TypeVar("Point", events.Step, events.Validated, events.GeneralMeasured, events.Sampled)
Status = Literal["waiting", "running", "done", "skipped", "stopped", "failed"]


@dataclass
class ProgressRate:
    """How fast a stage goes, by the log's own times since it began to count."""

    first: int
    first_time: str
    done: int = 0
    total: int = 0
    time: str = ""

    @property
    def seconds_left(self) -> float | None:
        """At the average pace since `first`; None before the first unit is through."""
        through = self.done - self.first
        if through <= 0 or not self.total:
            return None
        spent = seconds_between(self.first_time, self.time)
        return spent / through * max(0, self.total - self.done)


@dataclass
class StageState:
    """One stage: how far it is, and for a training stage its curves."""

    name: str
    status: Status = "waiting"
    title: str = ""
    started: str = ""
    elapsed_s: float = 0.0
    progress: events.Progress | None = None
    plan: events.TrainingPlanned | None = None
    memory: events.MemoryMeasured | None = None
    steps: list[events.Step] = field(default_factory=list)
    validations: list[events.Validated] = field(default_factory=list)
    general: list[events.GeneralMeasured] = field(default_factory=list)
    samples: list[events.Sampled] = field(default_factory=list)
    done: events.StageDone | None = None
    saved_step: int = 0
    pace: ProgressRate | None = None

    @property
    def seconds_left(self) -> float | None:
        """How long the stage still takes at its pace so far; None before there is a pace."""
        return self.pace.seconds_left if self.pace else None

    @property
    def best_loss(self) -> float | None:
        """The lowest validation loss so far, in nats a token."""
        return min((v.loss for v in self.validations), default=None)


@dataclass
class RunState:
    """All that the log tells, ready to be shown."""

    status: Status = "waiting"
    stage: str = ""
    planned: list[str] = field(default_factory=list)
    stages: dict[str, StageState] = field(default_factory=dict)
    notes: list[events.Note] = field(default_factory=list)
    data: events.DataReady | None = None
    export_plan: events.ExportPlanned | None = None
    load: events.Load | None = None
    exported: dict[str, events.FileExported] = field(default_factory=dict)
    parity: dict[str, events.ParityMeasured] = field(default_factory=dict)
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    packaged: list[events.Packaged] = field(default_factory=list)
    error: str = ""
    exit_status: int | None = None
    last_seq: int = 0
    last_time: str = ""

    def apply(self, records: Iterable[Record]) -> None:
        """Fold more records in."""
        for record in records:
            self.last_seq, self.last_time = record.seq, record.time
            self._apply(record)

    def _apply(self, record: Record) -> None:
        event = record.event
        match event:
            case events.RunStarted():
                self._begin(event)
            case events.Note():
                self.notes.append(event)
            case events.DataReady():
                self.data = event
            case events.ExportPlanned():
                self.export_plan = event
            case events.Load():
                self.load = event
            case events.FileExported():
                self.exported[event.type] = event
            case events.ParityMeasured():
                self.parity[event.type] = event
            case events.Evaluated():
                self.figures[event.model] = event.figures
            case events.Packaged():
                others = [other for other in self.packaged if other.path != event.path]
                self.packaged = [*others, event]
            case events.RunDone() | events.RunFailed() | events.RunStopped():
                self._end(event)
        if record.stage:
            self._apply_to_stage(self._stage(record.stage), record)

    def _begin(self, event: events.RunStarted) -> None:
        self.status, self.stage, self.error, self.exit_status = "running", "", "", None
        self.load = None
        self.planned = list(event.stages)
        for stage in self.stages.values():
            if stage.status in ("running", "failed", "stopped"):  # left so by an earlier life
                stage.status = "waiting"
        for name in event.stages:
            self._stage(name)

    def _end(self, event: events.Event) -> None:
        ended: Status = "done"
        self.exit_status = 0
        if isinstance(event, events.RunFailed):
            ended, self.error, self.exit_status = "failed", event.error, event.status
        elif isinstance(event, events.RunStopped):
            ended, self.exit_status = "stopped", 130
        self.status = ended
        current = self.stages.get(self.stage)
        if current and current.status == "running":
            current.status = ended

    def _stage(self, name: str) -> StageState:
        return self.stages.setdefault(name, StageState(name))

    def _apply_to_stage(self, stage: StageState, record: Record) -> None:
        step = rollback_step(record.event)
        if step is not None:
            stage.steps = drop_steps_after(stage.steps, step)
            stage.validations = drop_steps_after(stage.validations, step)
            stage.general = drop_steps_after(stage.general, step)
            stage.samples = drop_steps_after(stage.samples, step)
        match record.event:
            case events.StageStarted() as event:
                self.stage = stage.name
                stage.status, stage.title, stage.started = "running", event.title, record.time
                stage.progress, stage.done, stage.pace = None, None, None
            case events.Progress() as event:
                _measure(stage, record.time, event.done, event.total, event.label)
                stage.progress = event
            case events.Answered() as event:
                _measure(stage, record.time, event.done, event.total, event.model)
                stage.progress = events.Progress(
                    done=event.done, total=event.total, unit="responses", label=event.model
                )
            case events.TrainingPlanned() as event:
                stage.plan = event
            case events.MemoryMeasured() as event:
                stage.memory = event
            case events.Step() as event:
                stage.steps.append(event)
                _measure(stage, record.time, event.step, event.steps)
            case events.CheckpointSaved() as event:
                stage.saved_step = event.step
            case events.Validated() as event:
                stage.validations.append(event)
            case events.GeneralMeasured() as event:
                stage.general.append(event)
            case events.Sampled() as event:
                stage.samples.append(event)
            case events.StageSkipped():
                stage.status = "skipped"
            case events.StageDone() as event:
                stage.status, stage.done, stage.elapsed_s = "done", event, event.elapsed_s


def _measure(stage: StageState, time: str, done: int, total: int, label: str = "") -> None:
    """Take the pace on, from the first unit told of; another label counts from the start."""
    other = stage.progress is not None and stage.progress.label != label
    if stage.pace is None or other or done < stage.pace.done:
        stage.pace = ProgressRate(done, time)
    stage.pace.done, stage.pace.total, stage.pace.time = done, total, time


def rollback_step(event: events.Event) -> int | None:
    """The step after which the log tells a stage once more: -1 for all of it, None for no step."""
    match event:
        case events.Resumed():
            return event.from_step
        case events.TrainingPlanned() if event.from_step == 0:
            return -1
    return None


def drop_steps_after(points: Sequence[Point], step: int) -> list[Point]:
    """The points up to that step; a resumed worker is about to tell the others again."""
    return [point for point in points if point.step <= step]


def seconds_between(start: str, end: str) -> float:
    """Seconds from one log time to another; never negative, 0 when one is missing or no time."""
    try:
        span = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    except (ValueError, TypeError):
        return 0.0
    return max(0.0, span.total_seconds())
