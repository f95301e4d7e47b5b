"""Granite: a Llama with its own factors on embeddings, attention, residuals and logits."""

from __future__ import annotations

from typing import Any

from workbench.architectures.card import Architecture
from workbench.architectures.llama import rotary_keys
from workbench.architectures.model_config import ModelConfig


def _keys(writer: Any, config: ModelConfig) -> None:
    rotary_keys(writer, config)
    writer.add_attention_scale(float(config.get("attention_multiplier", 1.0)))
    writer.add_embedding_scale(float(config.get("embedding_multiplier", 1.0)))
    writer.add_residual_scale(float(config.get("residual_multiplier", 1.0)))
    writer.add_logit_scale(float(config.get("logits_scaling", 1.0)))


FAMILIES = (Architecture("GraniteForCausalLM", "granite", permute=True, more_keys=_keys),)
