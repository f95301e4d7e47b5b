"""A preset's training stage as the estimate takes it."""

from __future__ import annotations

from dataclasses import replace

from workbench.estimate.memory import Device, Memory, Setting, Work, estimate
from workbench.estimate.shape import ModelShape
from workbench.preset.plan import DEFAULT_MICRO_TOKENS, micro_tokens
from workbench.preset.schema import Model, TrainStage

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
