"""The wiring of the stages: from a run's folder and preset to plain values, and back to events.

The stages know nothing of runs; this module knows nothing of how they work.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from workbench.pipeline.context import Context, Outcome
from workbench.pipeline.facts import weights_before
from workbench.pipeline.prepare import prepare as prepare_stage
from workbench.pipeline.training.weights import Weights


def prepare(context: Context) -> Outcome:
    """Data, tokenizer and base."""
    return Outcome(prepare_stage(context.preset, context.run, context.emit))


def training(number: int) -> Callable[[Context], Outcome]:
    """The job of the preset's training stage `number`."""

    def job(context: Context) -> Outcome:
        from workbench.pipeline.base import load_tokenizer
        from workbench.pipeline.trackers import tracked
        from workbench.pipeline.training.stage import train_stage
        from workbench.pipeline.watched import watched

        stage, folder = context.preset.train[number], context.run.dataset
        tokenizer = load_tokenizer(context.run.tokenizer)
        trackers, boards = context.preset.watch.trackers, context.run.path / "tensorboard"
        with tracked(context.emit, trackers, stage.name, boards) as emit:
            result = train_stage(
                stage,
                context.preset.model,
                weights_before(context, number),
                train=folder / f"{stage.name}.train.safetensors",
                validation=folder / f"{stage.name}.validation.safetensors",
                tokenizer=tokenizer,
                folder=context.run.training(stage.name),
                emit=emit,
                stopping=context.stopping,
                checkpoint_now=context.checkpoint_now,
                watched=watched(context, stage, tokenizer),
            )
        saved = [p for w in (result.weights, result.last) for p in _files_of(context, w)]
        summary = {"steps": result.steps, "best_loss": result.best_loss, "tokens": result.tokens}
        done = context.run.training(stage.name) / "result.json"
        return Outcome([done, *dict.fromkeys(saved)], summary)

    return job


def _files_of(context: Context, weights: Weights) -> list[Path]:
    """The files inside the run that hold these weights."""
    folders = [path for path in (weights.base, *weights.adapters) if _inside(context, path)]
    return [path for folder in folders for path in sorted(folder.glob("*.safetensors"))]


def _inside(context: Context, path: Path) -> bool:
    return path.is_relative_to(context.run.path)
