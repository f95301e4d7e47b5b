"""What differs between architectures, as data, and the GGUF keys that all of them share.

Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import gguf
import numpy as np

from workbench.errors import UserError
from workbench.pipeline.export.arch.config import ModelConfig
from workbench.pipeline.export.shards import Float32

Constants = Iterator[tuple[str, Float32]]
_QUERY_OR_KEY = re.compile(r"\.(q|k)_proj\.(weight|bias)$")
_BUFFERS = (".rotary_emb.inv_freq", ".attention.bias", ".masked_bias")


def _nothing(config: ModelConfig) -> None:
    pass


def _no_keys(writer: Any, config: ModelConfig) -> None:
    pass


def _no_constants(config: ModelConfig) -> Constants:
    yield from ()


def _no_warnings(config: ModelConfig) -> list[str]:
    return []


@dataclass(frozen=True)
class Family:
    """One architecture and how it becomes GGUF.

    `architecture`: its name in config.json; `gguf_arch`: llama.cpp's.
    `permute`: rows of q and k go from Hugging Face's rotary layout (halves) to pairs.
    `norm_plus_one`: llama.cpp wants 1 + w where transformers stores w.
    `tied_by_default`: what a missing tie_word_embeddings means.
    `activation`: the only activation llama.cpp computes for it.
    `f32_limit`: largest mean KL divergence of an F32 file that still counts as exact, in nats.
    `parity_layers`: how many layers a cut-off copy needs to show every kind of layer.
    """

    architecture: str
    gguf_arch: Any
    permute: bool = False
    norm_plus_one: bool = False
    tied_by_default: bool = False
    rope_kinds: tuple[str, ...] = ("default", "linear", "yarn")
    activation: str = "silu"
    f32_limit: float = 1e-6
    parity_layers: int = 2
    check_more: Callable[[ModelConfig], None] = _nothing
    more_keys: Callable[[Any, ModelConfig], None] = _no_keys
    constants: Callable[[ModelConfig], Constants] = _no_constants
    warnings: Callable[[ModelConfig], list[str]] = _no_warnings

    @property
    def gguf_name(self) -> str:
        return str(gguf.MODEL_ARCH_NAMES[self.gguf_arch])

    def tied(self, config: ModelConfig) -> bool:
        return bool(config.get("tie_word_embeddings", self.tied_by_default))

    def tensor_name(self, name: str, config: ModelConfig) -> str:
        """The GGUF name of a Hugging Face tensor. Raises UserError for one without a place."""
        names = _name_map(self.gguf_arch, config.layers)
        found = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if found is None:
            raise UserError(f"tensor {name} has no place in GGUF", path=config.path.parent)
        return str(found)

    def heads_to_permute(self, name: str, config: ModelConfig) -> int:
        """Number of heads whose rows are put in pairs, 0 for a tensor that stays as it is."""
        match = _QUERY_OR_KEY.search(name) if self.permute else None
        if match is None:
            return 0
        return config.heads if match[1] == "q" else config.kv_heads

    def adds_one(self, name: str) -> bool:
        return self.norm_plus_one and name.endswith("norm.weight")

    def check(self, config: ModelConfig) -> None:
        """Raise UserError for a setting that llama.cpp cannot express."""
        refuse_unless(config, "hidden_act", {self.activation, None})
        refuse_unless(config, "hidden_activation", {self.activation, None})
        rope = config.rope()
        if rope.kind not in self.rope_kinds:
            hint = "supported: " + ", ".join(self.rope_kinds)
            raise UserError(f"rope type {rope.kind!r}", path=config.path, hint=hint)
        for key in ("attention_factor", "mscale", "mscale_all_dim"):
            if rope.kind == "yarn" and rope.values.get(key) is not None:
                raise UserError(f"yarn with its own {key}", path=config.path)
        self.check_more(config)

    def keys(self, writer: Any, config: ModelConfig, vocabulary_size: int) -> None:
        """Write the model's numbers."""
        common_keys(writer, config, vocabulary_size)
        self.more_keys(writer, config)


@lru_cache
def _name_map(gguf_arch: Any, layers: int) -> Any:
    return gguf.get_tensor_name_map(gguf_arch, layers)


def is_buffer(name: str) -> bool:
    """Whether a stored tensor is no weight: old files hold rotary tables and masks."""
    return name.endswith(_BUFFERS)


def common_keys(writer: Any, config: ModelConfig, vocabulary_size: int) -> None:
    """The keys that every architecture here has."""
    writer.add_block_count(config.layers)
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.need("hidden_size"))
    writer.add_feed_forward_length(config.need("intermediate_size"))
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_layer_norm_rms_eps(config.need("rms_norm_eps"))
    writer.add_vocab_size(vocabulary_size)
    if config.get("head_dim"):
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    rope_keys(writer, config)


def rope_keys(writer: Any, config: ModelConfig) -> None:
    """Base and scaling of the rotary embedding; llama3's scaling goes into a tensor instead."""
    rope = config.rope()
    writer.add_rope_freq_base(rope.theta)
    if rope.kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope.number("factor"))
    if rope.kind == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope.number("factor"))
        original = rope.number("original_max_position_embeddings", float(config.context))
        writer.add_rope_scaling_orig_ctx_len(int(original))
        writer.add_rope_scaling_yarn_beta_fast(rope.number("beta_fast", 32.0))
        writer.add_rope_scaling_yarn_beta_slow(rope.number("beta_slow", 1.0))


def refuse_unless(config: ModelConfig, key: str, allowed: set[Any]) -> None:
    """Raise UserError unless `key` has one of the allowed values (None: it may be missing)."""
    value = config.values.get(key)
    if value not in allowed:
        known = ", ".join(str(v) for v in allowed if v is not None) or "none"
        message = f"{key} = {value!r} cannot be expressed in GGUF"
        raise UserError(message, path=config.path, hint=f"supported: {known}")


def as_float32(values: Any) -> Float32:
    return np.asarray(values, dtype=np.float32)
