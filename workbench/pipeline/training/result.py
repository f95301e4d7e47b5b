"""What a training stage leaves behind: `result.json`, written last of all its files.

It names the weights that the next stage and the export start from. Paths inside the run are
relative to the run's folder, so that a run can be moved.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench import files
from workbench.pipeline.training.checkpoint import Counters
from workbench.pipeline.training.weights import Weights
from workbench.preset.schema import TrainStage


@dataclass(frozen=True)
class TrainResult:
    """What a stage came to. `weights` is what the next stage and the export start from."""

    weights: Weights
    chosen: str  # "best" or "final"
    steps: int
    best_loss: float | None
    best_step: int


def finish(
    stage: TrainStage, weights: Weights, folder: Path, counters: Counters, validated: bool
) -> TrainResult:
    """Write result.json, last of all. `best` stands only where there was something to measure."""
    chosen = "best" if validated and stage.start_from == "best" else "final"
    saved = folder / "adapters" / chosen
    result = TrainResult(
        weights=_after(stage, weights, saved),
        chosen=chosen,
        steps=counters.step,
        best_loss=counters.best_loss,
        best_step=counters.best_step,
    )
    files.write_json(folder / "result.json", _to_json(result, folder))
    return result


def _after(stage: TrainStage, weights: Weights, saved: Path) -> Weights:
    """What a stage hands on: whole weights, one adapter more, or the carried one in its place."""
    if stage.adapter.kind == "full":
        return Weights(saved)
    earlier = weights.adapters[:-1] if stage.adapter.continue_ == "carry" else weights.adapters
    return Weights(weights.base, (*earlier, saved))


def _to_json(result: TrainResult, folder: Path) -> dict[str, Any]:
    run = folder.parent.parent

    def place(path: Path) -> str:
        inside = path.is_relative_to(run)
        return path.relative_to(run).as_posix() if inside else str(path)

    return {
        "base": place(result.weights.base),
        "adapters": [place(path) for path in result.weights.adapters],
        "chosen": result.chosen,
        "steps": result.steps,
        "best_loss": result.best_loss,
        "best_step": result.best_step,
    }


def load(folder: Path) -> TrainResult:
    """What `train_stage` wrote in `folder`. Raises FileNotFoundError before it is done."""
    values = json.loads((folder / "result.json").read_bytes())
    run = folder.parent.parent
    weights = Weights(run / values["base"], tuple(run / path for path in values["adapters"]))
    return TrainResult(
        weights, values["chosen"], values["steps"], values["best_loss"], values["best_step"]
    )
