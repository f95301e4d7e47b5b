"""Llama, Mistral and Mixtral: q and k rows in pairs, llama3's frequency factors as a tensor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from gguf import MODEL_ARCH

from workbench.architectures.card import Architecture, Constants, as_float32, window_warning
from workbench.architectures.model_config import ModelConfig
from workbench.architectures.tensor_layout import Storage, experts


def rotary_keys(writer: Any, config: ModelConfig) -> None:
    writer.add_rope_dimension_count(config.head_dim)


def llama3_frequencies(config: ModelConfig) -> Constants:
    """`rope_freqs.weight`: the divisor of every frequency, as transformers' llama3 scaling has it.

    Long waves are slowed down by `factor`, short ones left, those between interpolated.
    """
    rope = config.rope()
    if rope.kind != "llama3":
        return
    exponents = np.arange(0, config.head_dim, 2, dtype=np.float32) / np.float32(config.head_dim)
    wavelengths = np.float32(2 * math.pi) / (1 / np.float32(rope.theta) ** exponents)
    factor, original = rope.number("factor"), rope.number("original_max_position_embeddings")
    low, high = rope.number("low_freq_factor"), rope.number("high_freq_factor")
    smooth = np.clip((original / wavelengths - low) / (high - low), 0.0, 1.0)
    yield "rope_freqs.weight", as_float32(1 / ((1 - smooth) / factor + smooth))


_ROPE = ("default", "linear", "yarn", "llama3")
FAMILIES = (
    Architecture(
        "LlamaForCausalLM",
        MODEL_ARCH.LLAMA,
        permute=True,
        rope_kinds=_ROPE,
        more_keys=rotary_keys,
        constants=llama3_frequencies,
    ),
    Architecture(
        "MistralForCausalLM",
        MODEL_ARCH.LLAMA,
        permute=True,
        rope_kinds=_ROPE,
        more_keys=rotary_keys,
        constants=llama3_frequencies,
        warnings=window_warning,
    ),
    Architecture(
        "MixtralForCausalLM",
        MODEL_ARCH.LLAMA,
        permute=True,
        rope_kinds=("default",),
        parts=experts,
        storage=Storage("block_sparse_moe", ("w1", "w3", "w2")),
        defaults={"rope_theta": 1e6},
        more_keys=rotary_keys,
        warnings=window_warning,
    ),
)
