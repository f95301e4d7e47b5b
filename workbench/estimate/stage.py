"""A preset's training stage as the estimate takes it."""

from __future__ import annotations

from dataclasses import replace

from workbench.estimate.memory import Device, Memory, Setting, Work, estimate
from workbench.estimate.shape import ModelShape
from workbench.preset.plan import DEFAULT_MICRO_TOKENS, micro_tokens
from workbench.preset.schema import Model, TrainStage

SHORT_OF_MEMORY = 4  # `auto` computes activations again where the card has less than 4 x weights


def needed(
    shape: ModelShape,
    stage: TrainStage,
    model: Model,
    device: Device,
    element_bytes: int,
    device_bytes: int,
    work: Work | None = None,
) -> Memory:
    """The memory of a stage; without `work` at the largest batch that its settings allow."""
    setting = _setting(stage, model, device, element_bytes)
    found = estimate(shape, setting, work or largest_work(stage))
    wish = stage.gradient_checkpointing
    if wish == "auto":
        wish = device == "cuda" and device_bytes < SHORT_OF_MEMORY * found.weights
    if not wish:
        return found
    return estimate(shape, replace(setting, checkpointing=True), work or largest_work(stage))


def largest_work(stage: TrainStage) -> Work:
    """The largest micro-batches that the settings allow, every token of them trained."""
    longest, tokens = stage.sequence_length, micro_tokens(stage)
    asked = max(longest, DEFAULT_MICRO_TOKENS)
    return Work(tokens, tokens, longest, asked, asked)


def _setting(stage: TrainStage, model: Model, device: Device, element_bytes: int) -> Setting:
    adapter = stage.adapter
    return Setting(
        kind=adapter.kind,
        rank=adapter.rank,
        dropout=adapter.dropout,
        targets=adapter.targets,
        last_layers=adapter.last_layers,
        quantization=model.quantization,
        optimizer=stage.optimizer,
        element_bytes=element_bytes,
        device=device,
    )
