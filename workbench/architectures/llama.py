"""Llama, Mistral and Mixtral: q and k rows in pairs, frequency factors of llama3 as a tensor."""

from __future__ import annotations

from typing import Any

from workbench.architectures.card import Architecture, window_warning
from workbench.architectures.model_config import ModelConfig
from workbench.architectures.tensor_layout import Storage, experts


def rotary_keys(writer: Any, config: ModelConfig) -> None:
    writer.add_rope_dimension_count(config.head_dim)


_ROPE = ("default", "linear", "yarn", "llama3")
FAMILIES = (
    Architecture(
        "LlamaForCausalLM",
        "llama",
        permute=True,
        rope_kinds=_ROPE,
        more_keys=rotary_keys,
    ),
    Architecture(
        "MistralForCausalLM",
        "llama",
        permute=True,
        rope_kinds=_ROPE,
        more_keys=rotary_keys,
        warnings=window_warning,
    ),
    Architecture(
        "MixtralForCausalLM",
        "llama",
        permute=True,
        rope_kinds=("default",),
        parts=experts,
        storage=Storage("block_sparse_moe", ("w1", "w3", "w2")),
        defaults={"rope_theta": 1e6},
        more_keys=rotary_keys,
        warnings=window_warning,
    ),
)
