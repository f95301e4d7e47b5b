"""Qwen2, Qwen2.5 and Qwen3: everything goes through as it is; q, k and v have biases in Qwen2.

Their mixtures of experts have a router, experts and, in Qwen2, a shared expert in every layer.
"""

from __future__ import annotations

from typing import Any

from workbench.architectures.card import Architecture, refuse_unless
from workbench.architectures.model_config import ModelConfig
from workbench.architectures.tensor_layout import experts


def _check(config: ModelConfig) -> None:
    refuse_unless(config, "use_sliding_window", {False, None})


def _check_qwen3(config: ModelConfig) -> None:
    _check(config)
    refuse_unless(config, "attention_bias", {False, None})


def _check_every_layer_has_experts(config: ModelConfig) -> None:
    refuse_unless(config, "decoder_sparse_step", {1, None})
    refuse_unless(config, "mlp_only_layers", {(), None})


def _check_qwen2_moe(config: ModelConfig) -> None:
    _check(config)
    _check_every_layer_has_experts(config)
    refuse_unless(config, "norm_topk_prob", {False, None})
    refuse_unless(config, "tie_word_embeddings", {False, None})


def _check_qwen3_moe(config: ModelConfig) -> None:
    _check_qwen3(config)
    _check_every_layer_has_experts(config)
    refuse_unless(config, "norm_topk_prob", {True})


def _expert_keys(writer: Any, config: ModelConfig) -> None:
    writer.add_expert_feed_forward_length(config.need("moe_intermediate_size"))
    if config.get("shared_expert_intermediate_size"):
        writer.add_expert_shared_feed_forward_length(config.need("shared_expert_intermediate_size"))


FAMILIES = (
    Architecture("Qwen2ForCausalLM", "qwen2", check_more=_check),
    Architecture("Qwen3ForCausalLM", "qwen3", check_more=_check_qwen3),
    Architecture(
        "Qwen2MoeForCausalLM",
        "qwen2moe",
        parts=experts,
        check_more=_check_qwen2_moe,
        more_keys=_expert_keys,
    ),
    Architecture(
        "Qwen3MoeForCausalLM",
        "qwen3moe",
        parts=experts,
        check_more=_check_qwen3_moe,
        more_keys=_expert_keys,
    ),
)
