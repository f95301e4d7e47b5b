"""Cohere's Command R and R7B: layer norms without bias, attention and feed-forward side by side.

In R7B (Cohere2) three layers of four see a window and are rotated, the fourth sees all and is not.
The output head is always the embedding. Command R's config.json has the context it was trained for
as `model_max_length`, beside a smaller `max_position_embeddings`.
"""

from __future__ import annotations

from typing import Any

from workbench.architectures.card import Architecture, RopeScaling, check_pattern, refuse_unless
from workbench.architectures.model_config import CONTEXT, ModelConfig

PATTERN = 4


def _check(config: ModelConfig) -> None:
    refuse_unless(config, "attention_bias", {False, None})
    refuse_unless(config, "use_qk_norm", {False, None})
    refuse_unless(config, "tie_word_embeddings", {True})


def _check_cohere2(config: ModelConfig) -> None:
    _check(config)
    check_pattern(config, PATTERN)
    refuse_unless(config, "sliding_window_pattern", {PATTERN, None})


def _keys(writer: Any, config: ModelConfig) -> None:
    writer.add_logit_scale(float(config.need("logit_scale")))
    writer.add_rope_scaling_type(RopeScaling.NONE)


def _keys_cohere2(writer: Any, config: ModelConfig) -> None:
    _keys(writer, config)
    writer.add_sliding_window(config.need("sliding_window"))
    writer.add_rope_dimension_count(config.head_dim)


_COMMON: dict[str, Any] = dict(rope_kinds=("default",), layer_norm="layer_norm_eps")
_DEFAULTS = {"tie_word_embeddings": True, "logit_scale": 0.0625}
FAMILIES = (
    Architecture(
        "CohereForCausalLM",
        "command-r",
        defaults={**_DEFAULTS, "rope_theta": 500000.0},
        context_keys=("model_max_length", CONTEXT),  # Command R: 131072 and 8192
        check_more=_check,
        more_keys=_keys,
        **_COMMON,
    ),
    Architecture(
        "Cohere2ForCausalLM",
        "cohere2",
        defaults=_DEFAULTS,
        parity_layers=PATTERN,
        check_more=_check_cohere2,
        more_keys=_keys_cohere2,
        **_COMMON,
    ),
)
