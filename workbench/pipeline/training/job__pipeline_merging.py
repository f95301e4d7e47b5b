"""The weights that a training stage starts from; merged into one model where its preset says so.

    training/<stage>/merged/     the model, in the base's number format, with a manifest
    training/<stage>/merged.json what it was merged from; written last

Invariant: a merged model that stands is that of the adapters before the stage, or is made anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from workbench.core import files
from workbench.bases.architecture import not_exported, read_config
from workbench.pipeline.context import Context
from workbench.pipeline.artifacts import weights_before
from workbench.pipeline.training.distributed.collectives import Ranks
from workbench.pipeline.models.weights__pipeline_training_weights import Weights
from workbench.run import events


def starting_weights(context: Context, number: int, ranks: Ranks) -> Weights:
    """What stage `number` starts from. The first of the `ranks` merges, the others wait for it.

    Raises UserError where the export could not merge either, RunFailed on a disk too small.
    """
    stage, before = context.preset.train[number], weights_before(context, number)
    if stage.adapter.continue_ != "merge" or not before.adapters:
        return before
    folder = context.run.training(stage.name) / "merged"
    if ranks.first and not _stands(folder, before):
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
        size = write_merged(plan, folder, stopping=context.stopping)
    files.write_json(_note(folder), _origin(before))
    message = f"merged the adapters so far into a new base model, {size / 2**20:,.0f} MiB"
    context.emit(events.Note(message=message))


def _stands(folder: Path, before: Weights) -> bool:
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
