"""One line about a run, for lists: its status, its progress, its best loss, its last sign of life.

The lock decides whether a run is running, not the log: if a log says "running" but nobody holds the
lock, its worker died.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from workbench.core.text import duration
from workbench.reports import status_text
from workbench.run import lock
from workbench.run.folder import RunFolder
from workbench.run.lock import Owner
from workbench.run.log import skim
from workbench.run.state import RunState, seconds_between

RunStatus = Literal["new", "running", "done", "stopped", "failed", "died"]


@dataclass(frozen=True)
class Overview:
    """A run at a glance. `best_loss` is in nats a token; `pid` is 0 when nobody works on it."""

    name: str
    path: str
    standing: RunStatus
    pid: int
    stage: str
    step: int
    steps: int
    best_loss: float | None
    error: str
    last_time: str

    @property
    def age_s(self) -> float | None:
        """Seconds since the last event; None when there was none."""
        if not self.last_time:
            return None
        return seconds_between(self.last_time, datetime.now(UTC).isoformat())


def overview(run: RunFolder) -> Overview:
    """How the run stands, from its lock and a quick look through its log."""
    owner = lock.owner(run.lock_file)  # before the log: a worker's last word is then in it
    state = RunState()
    state.apply(skim(run.events_file))
    trained = [stage for stage in state.stages.values() if stage.steps]
    last = trained[-1].steps[-1] if trained else None
    return Overview(
        name=run.name,
        path=str(run.path),
        standing=run_status(state, at_work=owner is not None),
        pid=owner.pid if owner else 0,
        stage=state.stage,
        step=last.step if last else 0,
        steps=last.steps if last else 0,
        best_loss=trained[-1].best_loss if trained else None,
        error=state.error,
        last_time=state.last_time,
    )


def run_status(state: RunState, at_work: bool) -> RunStatus:
    """What the log's last word and the lock say together."""
    if at_work:
        return "running"
    match state.status:
        case "running":
            return "died"
        case "done" | "stopped" | "failed":
            return state.status
    return "new"


Seen = RunStatus | Literal["reading"]
MARKS: dict[Seen, str] = {
    "reading": "…",
    "new": "·",
    "running": "▶",
    "done": "✓",
    "stopped": "■",
    "failed": "✗",
    "died": "✗",
}


@dataclass(frozen=True)
class RunOverview:
    """A run at a glance. `share` (0 to 1) is of the stage; `best_loss` in nats a token.

    While its log is still being read, `standing` is "reading".
    """

    name: str
    standing: Seen
    pid: int = 0
    stage: str = ""
    share: float | None = None
    left: str = ""
    best_loss: float | None = None
    error: str = ""
    last_time: str = ""


def glance(run: RunFolder, owner: Owner | None, state: RunState) -> RunOverview:
    """How the run stands; `owner` is its worker, None when nobody works on it."""
    trained = [stage for stage in state.stages.values() if stage.validations]
    stage = state.stages.get(state.stage)
    phrase = status_text.running_text(stage) if stage and stage.status == "running" else None
    left = stage.seconds_left if stage and owner else None
    return RunOverview(
        name=run.name,
        standing=run_status(state, at_work=owner is not None),
        pid=owner.pid if owner else 0,
        stage=status_text.label(state.stage) if state.stage else "",
        share=phrase.share if phrase else None,
        left="" if left is None else duration(left),
        best_loss=trained[-1].best_loss if trained else None,
        error=state.error,
        last_time=state.last_time,
    )
