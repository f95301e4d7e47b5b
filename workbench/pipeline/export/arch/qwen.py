"""Qwen2, Qwen2.5 and Qwen3: everything goes through as it is; q, k and v have biases in Qwen2."""

from __future__ import annotations

from gguf import MODEL_ARCH

from workbench.pipeline.export.arch.config import ModelConfig
from workbench.pipeline.export.arch.family import Family, refuse_unless


def _check(config: ModelConfig) -> None:
    refuse_unless(config, "use_sliding_window", {False, None})


def _check_qwen3(config: ModelConfig) -> None:
    _check(config)
    refuse_unless(config, "attention_bias", {False, None})


FAMILIES = (
    Family("Qwen2ForCausalLM", MODEL_ARCH.QWEN2, check_more=_check),
    Family("Qwen3ForCausalLM", MODEL_ARCH.QWEN3, check_more=_check_qwen3),
)
