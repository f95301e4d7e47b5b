"""What the worker hands to a stage: the run's folder, its preset, and how to speak and to listen.

Stages themselves are functions of plain values; only the thin wiring in `stages` sees a Context.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench import files
from workbench.preset.schema import Preset
from workbench.run.events import Emit
from workbench.run.folder import RunFolder


@dataclass(frozen=True)
class Context:
    """One stage's view of its run. `stopping` is polled at safe points."""

    run: RunFolder
    preset: Preset
    emit: Emit
    stopping: Callable[[], bool]
    checkpoint_now: Callable[[], bool]

    def artefact(self, path: Path) -> dict[str, str | int]:
        """A file of the run as `stage_done` names it: relative path, bytes, SHA-256."""
        place = path.relative_to(self.run.path).as_posix()
        return {"path": place, "bytes": path.stat().st_size, "sha256": files.sha256(path)}


@dataclass(frozen=True)
class Outcome:
    """What a stage came to: the files that later stages and people rely on, and a few figures."""

    artefacts: Sequence[Path]
    summary: dict[str, Any] = field(default_factory=dict)
