"""The training job of a run: from its folder and preset to plain values, and back to events.

Every rank of a stage runs it, alone or among others. The stage knows nothing of runs; this module
knows nothing of how the stage works. Where the preset asks for it, the weights that a stage starts
from are merged into one model:

    training/<stage>/merged/     the model, in the base's number format, with a manifest
    training/<stage>/merged.json what it was merged from; written last

Invariant: an existing merged model is that of the adapters before the stage, or is made again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.bases.architecture import not_exported, read_config
from workbench.core import files
from workbench.core.errors import UserError
from workbench.core.runtime import garbage_collection_paused
from workbench.pipeline.artifacts import input_weights
from workbench.pipeline.context import Context, StageOutcome
from workbench.pipeline.models.weights import Weights, load
from workbench.pipeline.prepare.stage import prepare as prepare_stage
from workbench.pipeline.training.distributed.collectives import SINGLE_PROCESS, ProcessGroup
from workbench.pipeline.training.distributed.rank import check_devices, check_gpus
from workbench.run import events


def prepare(context: Context) -> StageOutcome:
    """Data, tokenizer and base; what the training after it will lack is told before that."""
    _check_processes(context)
    made = prepare_stage(context.preset, context.run, context.emit, exports=context.exports())
    return StageOutcome(made)


def training(number: int) -> Callable[[Context], StageOutcome]:
    """The job of the preset's training stage `number`."""

    def job(context: Context) -> StageOutcome:
        from workbench.pipeline.training.trackers import with_trackers

        stage, folder = context.preset.train[number], context.run.path / "tensorboard"
        with with_trackers(context.emit, context.preset.watch.trackers, stage.name, folder) as emit:
            _train(replace(context, emit=emit), number)
        result = load(context.run.training(stage.name))
        saved = [p for w in (result.weights, result.last) for p in _files_of(context, w)]
        summary = {"steps": result.steps, "best_loss": result.best_loss, "tokens": result.tokens}
        done = context.run.training(stage.name) / "result.json"
        return StageOutcome([done, *dict.fromkeys(saved)], summary)

    return job


def _train(context: Context, number: int) -> None:
    """In this process, in several that are started for it, or in those that torchrun started."""
    from workbench.pipeline.training.distributed import supervisor

    _check_processes(context)
    size = context.preset.launch.processes
    if context.team is not None:
        context.team.train(context, number)
    elif size > 1:
        supervisor.train(context.run, number, size, context.emit, context.should_stop)
    else:
        train(context, number)


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


def starting_weights(context: Context, number: int, ranks: ProcessGroup) -> Weights:
    """What stage `number` starts from. The first of the `ranks` merges, the others wait for it.

    Raises UserError where the export could not merge either, RunFailed on a disk too small.
    """
    stage, before = context.preset.train[number], input_weights(context, number)
    if stage.adapter.continue_ != "merge" or not before.adapters:
        return before
    folder = context.run.training(stage.name) / "merged"
    if ranks.first and not _is_current(folder, before):
        _merge(context, before, folder)
    ranks.agree(True)
    return Weights(folder)


def _merge(context: Context, before: Weights, folder: Path) -> None:
    from workbench.pipeline.export.merge_whole import write_whole
    from workbench.pipeline.export.merged_safetensors import write_merged
    from workbench.pipeline.export.plan import plan_export

    folder.parent.mkdir(parents=True, exist_ok=True)
    files.sweep(folder.parent)
    if not_exported(read_config(before.base), before.base / "config.json"):
        size = write_whole(before, context.run.tokenizer, folder)
    else:
        plan = plan_export(before, ["f32"], context.run.tokenizer)
        size = write_merged(plan, folder, should_stop=context.should_stop)
    files.write_json(_note(folder), _origin(before))
    message = f"merged the adapters so far into a new base model, {size / 2**20:,.0f} MiB"
    context.emit(events.Note(message=message))


def _is_current(folder: Path, before: Weights) -> bool:
    try:
        told = json.loads(_note(folder).read_bytes())
    except (OSError, ValueError):
        return False
    return bool(told == _origin(before)) and not files.verify(folder)


def _note(folder: Path) -> Path:
    return folder.with_name("merged.json")


def _origin(before: Weights) -> dict[str, Any]:
    """Which weights were merged, by the bytes of the adapters."""
    names = [adapter / "adapter_model.safetensors" for adapter in before.adapters]
    return {"base": str(before.base), "adapters": [files.sha256(path) for path in names]}


def train(context: Context, number: int, ranks: ProcessGroup = SINGLE_PROCESS) -> None:
    """Train the preset's stage `number`; what it came to stands in its `result.json` then."""
    from workbench.pipeline.training.device import pick_device, weights_dtype
    from workbench.pipeline.training.weight_prefetch import prefetch_weights

    stage, model, folder = context.preset.train[number], context.preset.model, context.run.dataset
    device = pick_device(model.device)
    check_devices(ranks, device.type)
    weights = starting_weights(context, number, ranks)
    prefetch = prefetch_weights(
        weights.base, weights_dtype(stage, model, device), model.quantization
    )
    with (
        garbage_collection_paused()
    ):  # while a thread reads these weights: the imports take as long
        from workbench.pipeline.models.tokenizer_loading import saved_tokenizer
        from workbench.pipeline.training.sample_prompts import monitor_plan
        from workbench.pipeline.training.stage import train_stage

    tokenizer = saved_tokenizer(context.run.tokenizer)
    train_stage(
        stage,
        model,
        weights,
        train=folder / f"{stage.name}.train.safetensors",
        validation=folder / f"{stage.name}.validation.safetensors",
        tokenizer=tokenizer,
        folder=context.run.training(stage.name),
        emit=context.emit,
        should_stop=context.should_stop,
        should_checkpoint=context.should_checkpoint,
        monitor_plan=monitor_plan(context, stage, tokenizer),
        ranks=ranks,
        shard_weights=context.preset.launch.sharding == "full",
        prefetch=prefetch,
        beside=context.run.tokenizer,
    )
