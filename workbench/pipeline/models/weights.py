"""A model's weights on disk: a base folder and adapters in order; and a stage's `result.json`.

The model is W + d1 + d2 ..., where each d is an adapter's delta, added in float32. Training merges
the adapters when it loads the base; the export adds them tensor by tensor.

A training stage writes `result.json` last of all its files. It names the weights that the next
stage and the export start from. Paths inside the run are relative to the run's folder, so that a
run can be moved.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from workbench.core import files
from workbench.preset.schema import TrainStage

if TYPE_CHECKING:
    from workbench.pipeline.training.checkpoint import Counters


@dataclass(frozen=True)
class Weights:
    """`base`: a folder in Hugging Face layout. `adapters`: PEFT folders, applied in order."""

    base: Path
    adapters: tuple[Path, ...] = ()


Which = Literal["best", "last"]


@dataclass(frozen=True)
class TrainResult:
    """What a stage came to: its weights, and how it got there.

    `weights` are the best where a validation loss was measured, else the last; `last` are those
    of the last step. `best_loss` is in nats a token, `tokens` are those of all steps. `general`
    holds the loss on the general text before and after, where it was measured.
    """

    weights: Weights
    last: Weights
    steps: int
    best_loss: float | None
    best_step: int
    tokens: int = 0
    general: tuple[float, ...] = ()

    def take(self, which: Which) -> Weights:
        """The weights that a next stage's `start_from` means."""
        return self.weights if which == "best" else self.last


def write_result(
    stage: TrainStage, before: Weights, folder: Path, counters: Counters, *, write: bool = True
) -> TrainResult:
    """Write result.json, last of all, where this rank is to `write`.

    `before` are the weights that the stage started from.
    """
    chosen = "final" if counters.best_loss is None else "best"
    result = TrainResult(
        weights=weights_after(stage, before, folder / "adapters" / chosen),
        last=weights_after(stage, before, folder / "adapters" / "final"),
        steps=counters.step,
        best_loss=counters.best_loss,
        best_step=counters.best_step,
        tokens=counters.tokens,
        general=tuple(counters.general),
    )
    if write:
        files.write_json(folder / "result.json", _to_json(result, _run_of(folder)))
    return result


def load(folder: Path) -> TrainResult:
    """What `finish` wrote in `folder`. Raises FileNotFoundError before the stage is done."""
    values = json.loads((folder / "result.json").read_bytes())
    run = _run_of(folder)

    def weights(value: dict[str, Any]) -> Weights:
        return Weights(run / value["base"], tuple(run / path for path in value["adapters"]))

    return TrainResult(
        weights=weights(values["weights"]),
        last=weights(values["last"]),
        steps=values["steps"],
        best_loss=values["best_loss"],
        best_step=values["best_step"],
        tokens=values.get("tokens", 0),
        general=tuple(values.get("general", ())),
    )


def weights_after(stage: TrainStage, before: Weights, saved: Path) -> Weights:
    """What a stage hands on: whole weights, one adapter more, or the carried one in its place."""
    if stage.adapter.kind == "full":
        return Weights(saved)
    carried = stage.adapter.continue_ == "carry"
    earlier = before.adapters[:-1] if carried else before.adapters
    return Weights(before.base, (*earlier, saved))


def _to_json(result: TrainResult, run: Path) -> dict[str, Any]:
    def place(path: Path) -> str:
        inside = path.is_relative_to(run)
        return path.relative_to(run).as_posix() if inside else str(path)

    def weights(value: Weights) -> dict[str, Any]:
        return {"base": place(value.base), "adapters": [place(path) for path in value.adapters]}

    return {
        "weights": weights(result.weights),
        "last": weights(result.last),
        "steps": result.steps,
        "best_loss": result.best_loss,
        "best_step": result.best_step,
        "tokens": result.tokens,
        "general": list(result.general),
    }


def _run_of(folder: Path) -> Path:
    """The run's folder; a stage's lies in `training/NAME` below it."""
    return folder.parent.parent
