"""What the worker hands to a stage: the run's folder, its preset, and how to speak and to listen.

Stages themselves are functions of plain values; only the thin wiring in `stages` sees a Context.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from workbench.core import files
from workbench.preset.schema import Preset
from workbench.run import control
from workbench.run.events import Emit
from workbench.run.folder import RunFolder


class TrainingTeam(Protocol):
    """The processes that torchrun started, led by this one."""

    def train(self, context: Context, number: int) -> None:
        """Train stage `number` of the preset in all of them."""


@dataclass(frozen=True)
class Context:
    """One stage's view of its run. `should_stop` is polled at safe points. A `team` is the
    processes that torchrun started, of which this one is the first. `wanted` are the names of the
    stages that this invocation does; none for all."""

    run: RunFolder
    preset: Preset
    emit: Emit
    should_stop: Callable[[], bool]
    should_checkpoint: Callable[[], bool]
    team: TrainingTeam | None = None
    wanted: tuple[str, ...] = ()

    def exports(self) -> bool:
        """Whether this invocation writes GGUF files."""
        return not self.wanted or any(name.startswith("export") for name in self.wanted)

    def artefact(self, path: Path) -> dict[str, str | int]:
        """A file of the run as `stage_done` names it: relative path, bytes, SHA-256."""
        place = path.relative_to(self.run.path).as_posix()
        return {"path": place, "bytes": path.stat().st_size, "sha256": files.sha256(path)}


def context_of(
    run: RunFolder,
    preset: Preset,
    emit: Emit,
    should_stop: Callable[[], bool],
    *,
    first: bool = True,
    team: TrainingTeam | None = None,
    wanted: Sequence[str] = (),
) -> Context:
    """The view of a stage of `run`; only the `first` process takes requests for a checkpoint."""

    def should_checkpoint() -> bool:
        asked = first and control.is_requested(run.control, "checkpoint")
        if asked:
            control.clear(run.control, "checkpoint")
        return asked

    return Context(run, preset, emit, should_stop, should_checkpoint, team, tuple(wanted))


@dataclass(frozen=True)
class StageOutcome:
    """What a stage came to: the files that later stages and people rely on, and a few figures."""

    artefacts: Sequence[Path]
    summary: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """One stage of a run. `settings` is its part of the preset, as plain values; `needs` are the
    kinds of stages that it builds on, None for all before it."""

    name: str
    title: str
    settings: Any
    run: Callable[[Context], StageOutcome]
    wanted: bool = True
    needs: tuple[str, ...] | None = None

    @property
    def kind(self) -> str:
        return self.name.partition(":")[0]

    def builds_on(self, other: Stage) -> bool:
        """Whether it needs what an earlier stage made."""
        return self.needs is None or other.kind in self.needs
