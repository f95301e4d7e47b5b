"""One line's worth of a run for the list: how it stands, how far it is, its best loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from workbench.reports import status_text
from workbench.run.folder import RunFolder
from workbench.run.lock import Owner
from workbench.reports.run_overview import Standing, standing
from workbench.run.state import RunState
from workbench.core.text import duration

Seen = Standing | Literal["reading"]
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
class Glance:
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


def glance(run: RunFolder, owner: Owner | None, state: RunState) -> Glance:
    """How the run stands; `owner` is its worker, None when nobody works on it."""
    trained = [stage for stage in state.stages.values() if stage.validations]
    stage = state.stages.get(state.stage)
    phrase = status_text.running(stage) if stage and stage.status == "running" else None
    left = stage.seconds_left if stage and owner else None
    return Glance(
        name=run.name,
        standing=standing(state, at_work=owner is not None),
        pid=owner.pid if owner else 0,
        stage=status_text.label(state.stage) if state.stage else "",
        share=phrase.share if phrase else None,
        left="" if left is None else duration(left),
        best_loss=trained[-1].best_loss if trained else None,
        error=state.error,
        last_time=state.last_time,
    )
