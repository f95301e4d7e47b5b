"""An architecture card as GGUF: its keys, tensor names and constant tensors; and keys for serving.

Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
Chat templates and sampling settings are written so that a model is served as it was trained. Names
as in the `gguf` package and llama.cpp's converter: `tokenizer.chat_template.NAME` for each further
template and `tokenizer.chat_templates` for their list; `general.sampling.*`, which llama.cpp's own
programs use if a person sets nothing else (`common.cpp`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from workbench.architectures.card import Architecture, RopeScaling
from workbench.architectures.model_config import ModelConfig, Rope
from workbench.core.errors import UserError
from workbench.core.sampling import PENALTY_WINDOW

Float32 = NDArray[np.float32]


def write_keys(card: Architecture, writer: Any, config: ModelConfig, vocabulary_size: int) -> None:
    """Write the model's numbers."""
    common_keys(writer, config, vocabulary_size)
    if card.layer_norm:
        writer.add_layer_norm_eps(config.need(card.layer_norm))
    else:
        writer.add_layer_norm_rms_eps(config.need("rms_norm_eps"))
    card.attention_keys(writer, config)
    rope_keys(writer, config)
    if config.rope().kind == "yarn" and not card.latent:
        yarn_factor_key(writer, config.rope())
    card.more_keys(writer, config)


def tensor_name(card: Architecture, name: str, config: ModelConfig) -> str:
    """The GGUF name of a Hugging Face tensor. Raises UserError for one without a place."""
    names = _name_map(card.gguf_arch, config.layers)
    found = names.get_name(name, try_suffixes=(".weight", ".bias"))
    if found is None:
        raise UserError(f"tensor {name} has no GGUF equivalent", path=config.path.parent)
    return str(found)


@lru_cache
def _name_map(gguf_arch: str, layers: int) -> Any:
    arch = next(arch for arch, name in gguf.MODEL_ARCH_NAMES.items() if name == gguf_arch)
    return gguf.get_tensor_name_map(arch, layers)


def rope_tensors(config: ModelConfig) -> Iterator[tuple[str, Float32]]:
    """The frequency factors of the rotary embedding, by name: those that GGUF has as tensors."""
    rope = config.rope()
    if rope.kind == "llama3":
        yield "rope_freqs.weight", _llama3_divisors(rope, config.head_dim)
    if rope.kind == "longrope":
        yield "rope_factors_long.weight", _float32(rope.need("long_factor"))
        yield "rope_factors_short.weight", _float32(rope.need("short_factor"))


def _llama3_divisors(rope: Rope, head_dim: int) -> Float32:
    """The divisor of every frequency, as transformers' llama3 scaling has it.

    Long waves are slowed down by `factor`, short ones left, those between interpolated.
    """
    exponents = np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim)
    wavelengths = np.float32(2 * math.pi) / (1 / np.float32(rope.theta) ** exponents)
    factor, original = rope.number("factor"), rope.number("original_max_position_embeddings")
    low, high = rope.number("low_freq_factor"), rope.number("high_freq_factor")
    smooth = np.clip((original / wavelengths - low) / (high - low), 0.0, 1.0)
    return _float32(1 / ((1 - smooth) / factor + smooth))


def common_keys(writer: Any, config: ModelConfig, vocabulary_size: int) -> None:
    """The keys that every architecture here has."""
    writer.add_block_count(config.layers)
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.need("hidden_size"))
    writer.add_feed_forward_length(config.need("intermediate_size"))
    writer.add_head_count(config.heads)
    writer.add_vocab_size(vocabulary_size)
    if config.experts:
        writer.add_expert_count(config.experts)
        writer.add_expert_used_count(config.need("num_experts_per_tok"))


def rope_keys(writer: Any, config: ModelConfig) -> None:
    """Base and scaling of the rotary embedding; llama3's scaling goes into a tensor instead."""
    rope = config.rope()
    writer.add_rope_freq_base(rope.theta)
    if rope.kind == "linear":
        writer.add_rope_scaling_type(RopeScaling.LINEAR)
        writer.add_rope_scaling_factor(rope.number("factor"))
    if rope.kind == "yarn":
        writer.add_rope_scaling_type(RopeScaling.YARN)
        writer.add_rope_scaling_factor(rope.number("factor"))
        original = rope.number("original_max_position_embeddings", float(config.context))
        writer.add_rope_scaling_orig_ctx_len(int(original))
        writer.add_rope_scaling_yarn_beta_fast(rope.number("beta_fast", 32.0))
        writer.add_rope_scaling_yarn_beta_slow(rope.number("beta_slow", 1.0))


def yarn_factor_key(writer: Any, rope: Rope) -> None:
    """What cosines and sines are multiplied with beyond llama.cpp's own 1 + 0.1 ln(factor)."""
    share = yarn_attention_factor(rope) / _grown(rope.number("factor"))
    if share != 1:
        writer.add_rope_scaling_attn_factors(share)


def yarn_attention_factor(rope: Rope) -> float:
    """What yarn multiplies cosines and sines with, as transformers settles it."""
    given, factor = rope.values.get("attention_factor"), rope.number("factor")
    if given is not None:
        return float(given)
    one, all_dims = (float(rope.values.get(k) or 0) for k in ("mscale", "mscale_all_dim"))
    if one and all_dims:
        return _grown(factor, one) / _grown(factor, all_dims)
    return _grown(factor)


def _grown(factor: float, scale: float = 1.0) -> float:
    """yarn's 1 + 0.1 s ln(factor)."""
    return 1.0 if factor <= 1 else 1.0 + 0.1 * scale * math.log(factor)


def _float32(values: Any) -> Float32:
    return np.asarray(values, dtype=np.float32)


_Tokenizer = gguf.Keys.Tokenizer
_SAMPLING: Mapping[str, tuple[str, type[int] | type[float]]] = {
    "temperature": ("temp", float),
    "top_k": ("top_k", int),
    "top_p": ("top_p", float),
    "min_p": ("min_p", float),
    "repetition_penalty": ("penalty_repeat", float),
}
_OTHER_CHARACTER = re.compile(r"[^A-Za-z0-9]")


def write_named_templates(writer: Any, templates: Mapping[str, str]) -> None:
    """Write the chat templates beside the default one; their list is sorted, so files are equal."""
    names = {_OTHER_CHARACTER.sub("_", name): source for name, source in templates.items()}
    for name in sorted(names):
        writer.add_string(_Tokenizer.CHAT_TEMPLATE_N.format(name=name), names[name])
    if names:
        writer.add_array(_Tokenizer.CHAT_TEMPLATES, sorted(names))


def write_sampling(writer: Any, generation: Mapping[str, Any]) -> None:
    """Write the sampling settings of generation_config.json, those that it has.

    Greedy decoding is temperature 0. The repeat penalty looks back as far as in the workbench.
    """
    if generation.get("do_sample") is False:
        generation = {**generation, "temperature": 0.0}
    for name, (key, kind) in _SAMPLING.items():
        value = generation.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            getattr(writer, f"add_sampling_{key}")(kind(value))
    if generation.get("repetition_penalty", 1.0) != 1.0:
        writer.add_sampling_penalty_last_n(PENALTY_WINDOW)
