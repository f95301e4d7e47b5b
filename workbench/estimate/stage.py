"""A preset's training stage as the estimate takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from workbench.bases.targets import Matrix, TargetGroup, groups, resolve
from workbench.core.errors import UserError
from workbench.estimate.memory import Device, Memory, Setting, Work, estimate
from workbench.architectures.shape import ModelShape
from workbench.preset.step_plan import DEFAULT_MICRO_TOKENS, micro_tokens
from workbench.preset.schema import Model, TrainStage

EMBEDDING = "model.embed_tokens"
ROOM = 0.9  # `auto` computes activations again where a step would take more of the card than this


def needed(
    shape: ModelShape,
    stage: TrainStage,
    model: Model,
    device: Device,
    element_bytes: int,
    device_bytes: int,
    work: Work | None = None,
    shares: int = 1,
) -> Memory:
    """The memory of a stage; without `work` at the largest batch that its settings allow.

    It is that of one process; `shares` of them share the weights out.
    """
    again = recomputes(shape, stage, model, device, element_bytes, device_bytes, shares)
    setting = replace(_setting(stage, model, device, element_bytes, shares), checkpointing=again)
    return estimate(shape, setting, work or largest_work(stage))


def recomputes(
    shape: ModelShape,
    stage: TrainStage,
    model: Model,
    device: Device,
    element_bytes: int,
    device_bytes: int,
    shares: int = 1,
) -> bool:
    """Whether activations are computed again in the backward pass.

    As the stage wishes; `auto` does so on a CUDA card that the largest step would not fit
    otherwise. Elsewhere it costs time and saves little.
    """
    if stage.gradient_checkpointing != "auto":
        return bool(stage.gradient_checkpointing)
    setting = _setting(stage, model, device, element_bytes, shares)
    peak = estimate(shape, setting, largest_work(stage)).peak
    return device == "cuda" and peak > ROOM * device_bytes


def stage_targets(matrices: Sequence[Matrix], stage: TrainStage) -> list[Matrix]:
    """Those of a model's matrices that get the stage's adapter; none with full fine-tuning.

    Raises UserError, at the stage's key, for targets that the model does not have.
    """
    adapter = stage.adapter
    if adapter.kind == "full":
        return []
    try:
        return resolve(
            matrices, adapter.targets, kind=adapter.kind, last_layers=adapter.last_layers
        )
    except UserError as found:
        key = str(found.path).replace("train.", f"train.{stage.name}.", 1)
        raise UserError(found.message, path=key, hint=found.hint) from found


def stage_groups(shape: ModelShape, stage: TrainStage) -> list[TargetGroup]:
    """What the stage's adapter trains, by pattern; raises UserError as `stage_targets` does."""
    adapter = stage.adapter
    found = stage_targets(shape.matrices, stage)
    return groups(found, adapter.rank, dora=adapter.kind == "dora") + _saved(shape, stage)


def _saved(shape: ModelShape, stage: TrainStage) -> list[TargetGroup]:
    """Embedding and output head that are trained in full; tied, they are one matrix."""
    if stage.adapter.kind == "full":
        return []
    paths = {"embed_tokens": EMBEDDING, "lm_head": "lm_head"}
    wished = [paths[name] for name in sorted(set(stage.adapter.modules_to_save))]
    names = [EMBEDDING] if shape.tied and wished else wished
    return [TargetGroup(name, 1, 0, shape.vocabulary * shape.hidden) for name in names]


def largest_work(stage: TrainStage) -> Work:
    """The largest micro-batches that the settings allow, every token of them trained."""
    longest, tokens = stage.sequence_length, micro_tokens(stage)
    asked = max(longest, DEFAULT_MICRO_TOKENS)
    return Work(tokens, tokens, longest, asked, asked)


def _setting(
    stage: TrainStage, model: Model, device: Device, element_bytes: int, shares: int
) -> Setting:
    adapter = stage.adapter
    return Setting(
        kind=adapter.kind,
        rank=adapter.rank,
        dropout=adapter.dropout,
        targets=adapter.targets,
        last_layers=adapter.last_layers,
        quantization=model.quantization,
        optimizer=stage.optimizer,
        saved=len(adapter.modules_to_save),
        new_tokens=bool(model.added_tokens),
        element_bytes=element_bytes,
        device=device,
        shares=shares,
    )
