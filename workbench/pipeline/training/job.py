"""The wiring of the stages: from a run's folder and preset to plain values, and back to events.

The stages know nothing of runs; this module knows nothing of how they work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from workbench.core.errors import UserError
from workbench.pipeline.context import Context, Outcome
from workbench.pipeline.prepare.stage import prepare as prepare_stage
from workbench.pipeline.training.distributed.rank import check_gpus
from workbench.pipeline.models.weights import load
from workbench.pipeline.models.weights__pipeline_training_weights import Weights


def prepare(context: Context) -> Outcome:
    """Data, tokenizer and base; what the training after it will lack is told before that."""
    _check_processes(context)
    made = prepare_stage(context.preset, context.run, context.emit, exports=context.exports())
    return Outcome(made)


def training(number: int) -> Callable[[Context], Outcome]:
    """The job of the preset's training stage `number`."""

    def job(context: Context) -> Outcome:
        from workbench.pipeline.training.trackers import tracked

        stage, folder = context.preset.train[number], context.run.path / "tensorboard"
        with tracked(context.emit, context.preset.watch.trackers, stage.name, folder) as emit:
            _train(replace(context, emit=emit), number)
        result = load(context.run.training(stage.name))
        saved = [p for w in (result.weights, result.last) for p in _files_of(context, w)]
        summary = {"steps": result.steps, "best_loss": result.best_loss, "tokens": result.tokens}
        done = context.run.training(stage.name) / "result.json"
        return Outcome([done, *dict.fromkeys(saved)], summary)

    return job


def _train(context: Context, number: int) -> None:
    """In this process, in several that are started for it, or in those that torchrun started."""
    from workbench.pipeline.training import job__pipeline_processes_job
    from workbench.pipeline.training.distributed import supervisor

    _check_processes(context)
    size = context.preset.launch.processes
    if context.team is not None:
        context.team.train(context, number)
    elif size > 1:
        supervisor.train(context.run, number, size, context.emit, context.stopping)
    else:
        job__pipeline_processes_job.train(context, number)


def _check_processes(context: Context) -> None:
    launch = context.preset.launch
    if context.team is not None:
        return
    if launch.processes > 1:
        check_gpus(launch.processes, context.preset.model.device)
    elif launch.sharding != "none":
        hint = "raise launch.processes, or start with torchrun"
        raise UserError("launch.sharding needs more than one process", hint=hint)


def _files_of(context: Context, weights: Weights) -> list[Path]:
    """The files inside the run that hold these weights."""
    folders = [path for path in (weights.base, *weights.adapters) if _inside(context, path)]
    return [path for folder in folders for path in sorted(folder.glob("*.safetensors"))]


def _inside(context: Context, path: Path) -> bool:
    return path.is_relative_to(context.run.path)
