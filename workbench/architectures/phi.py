"""Phi-3 and Phi-4-mini: fused qkv and gate-up matrices go through as they are.

longrope has two sets of frequency factors: llama.cpp takes the short ones while its context is no
longer than the original one, transformers while the sequence at hand is.
"""

from __future__ import annotations

import math
from typing import Any

from workbench.architectures.card import Architecture, RopeScaling
from workbench.architectures.model_config import ModelConfig


def _original_context(config: ModelConfig) -> int:
    inside = config.rope().values.get("original_max_position_embeddings")
    return int(inside or config.get("original_max_position_embeddings", config.context))


def _rotated(config: ModelConfig) -> int:
    share = config.rope().number("partial_rotary_factor", 0.0)
    return int((share or config.get("partial_rotary_factor", 1.0)) * config.head_dim)


def _keys(writer: Any, config: ModelConfig) -> None:
    writer.add_rope_dimension_count(_rotated(config))
    writer.add_sliding_window(config.get("sliding_window", 0))
    writer.add_rope_scaling_orig_ctx_len(_original_context(config))
    if config.rope().kind == "longrope":
        writer.add_rope_scaling_type(RopeScaling.LONGROPE)
        writer.add_rope_scaling_attn_factors(_attention_factor(config))


def _attention_factor(config: ModelConfig) -> float:
    """sqrt(1 + ln(s) / ln(original)), s = context / original, as transformers computes it."""
    given = config.rope().values.get("attention_factor")
    if given is not None:
        return float(given)
    original = _original_context(config)
    stretch = config.rope().number("factor", config.context / original)
    return 1.0 if stretch <= 1 else math.sqrt(1 + math.log(stretch) / math.log(original))


def _warnings(config: ModelConfig) -> list[str]:
    original = _original_context(config)
    if config.rope().kind != "longrope" or original >= config.context:
        return []
    return [f"with a context above {original}, llama.cpp uses the long factors for every text"]


FAMILIES = (
    Architecture(
        "Phi3ForCausalLM",
        "phi3",
        rope_kinds=("default", "longrope"),
        more_keys=_keys,
        warnings=_warnings,
    ),
)
