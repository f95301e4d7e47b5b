"""What differs between architectures, as data, and the GGUF keys that all of them share.

Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from workbench.architectures.model_config import CONTEXT, ModelConfig, Rope
from workbench.architectures.tensor_layout import Storage, TensorPart, whole
from workbench.core.errors import UserError

Float32 = NDArray[np.float32]
Constants = Iterator[tuple[str, Float32]]
_QUERY_OR_KEY = re.compile(r"\.(q|k)_proj\.(weight|bias)$")


def _nothing(config: ModelConfig) -> None:
    pass


def _no_keys(writer: Any, config: ModelConfig) -> None:
    pass


def _no_constants(config: ModelConfig) -> Constants:
    yield from ()


def _attention_keys(writer: Any, config: ModelConfig) -> None:
    writer.add_head_count_kv(config.kv_heads)
    if config.get("head_dim"):
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)


def _no_warnings(config: ModelConfig) -> list[str]:
    return []


@dataclass(frozen=True)
class Architecture:
    """One architecture and how it becomes GGUF.

    `architecture`: its name in config.json; `gguf_arch`: llama.cpp's.
    `permute`: rows of q and k go from Hugging Face's rotary layout (halves) to pairs.
    `norm_plus_one`: llama.cpp wants 1 + w where transformers stores w.
    `layer_norm`: the key of its epsilon where norms are no RMS norms.
    `latent`: keys and values are compressed, and yarn scales the scores instead of the cosines.
    `parts`: where the rows of a stored tensor go.
    `storage`: names in the files that differ from those in memory.
    `defaults`: what a missing key of config.json means.
    `context_keys`: where config.json has the longest sequence; the first that is there counts.
    `text_of`: the architecture of the text model inside, for a model that reads more than text.
    `activation`: the only activation llama.cpp computes for it.
    `activation_alike`: another name that transformers reads as that one.
    `f32_limit`: largest mean KL divergence of an F32 file that still counts as exact, in nats.
    `parity_layers`: how many layers a cut-off copy needs to show every kind of layer.
    """

    architecture: str
    gguf_arch: Any
    permute: bool = False
    norm_plus_one: bool = False
    layer_norm: str = ""
    latent: bool = False
    rope_kinds: tuple[str, ...] = ("default", "linear", "yarn")
    activation: str = "silu"
    activation_alike: str | None = None
    f32_limit: float = 1e-6
    parity_layers: int = 2
    check_more: Callable[[ModelConfig], None] = _nothing
    parts: Callable[[str, tuple[int, ...], ModelConfig], Iterator[TensorPart]] = whole
    storage: Storage = Storage()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    context_keys: tuple[str, ...] = (CONTEXT,)
    text_of: str = ""
    attention_keys: Callable[[Any, ModelConfig], None] = _attention_keys
    more_keys: Callable[[Any, ModelConfig], None] = _no_keys
    constants: Callable[[ModelConfig], Constants] = _no_constants
    warnings: Callable[[ModelConfig], list[str]] = _no_warnings

    @property
    def gguf_name(self) -> str:
        return str(gguf.MODEL_ARCH_NAMES[self.gguf_arch])

    def tied(self, config: ModelConfig) -> bool:
        return bool(config.get("tie_word_embeddings", False))

    def layers_for_parity(self, config: ModelConfig) -> int:
        """Layers of a cut-off copy; dense layers before the experts come on top."""
        shown = max(self.parity_layers, int(config.get("first_k_dense_replace", 0)) + 1)
        return min(shown, config.layers)

    def tensor_name(self, name: str, config: ModelConfig) -> str:
        """The GGUF name of a Hugging Face tensor. Raises UserError for one without a place."""
        names = _name_map(self.gguf_arch, config.layers)
        found = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if found is None:
            raise UserError(f"tensor {name} has no GGUF equivalent", path=config.path.parent)
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
        known = {self.activation, self.activation_alike, None}
        refuse_unless(config, "hidden_act", known)
        refuse_unless(config, "hidden_activation", known)
        rope = config.rope()
        if rope.kind not in self.rope_kinds:
            hint = "supported: " + ", ".join(self.rope_kinds)
            raise UserError(f"rope type {rope.kind!r}", path=config.path, hint=hint)
        self.check_more(config)

    def keys(self, writer: Any, config: ModelConfig, vocabulary_size: int) -> None:
        """Write the model's numbers."""
        common_keys(writer, config, vocabulary_size)
        if self.layer_norm:
            writer.add_layer_norm_eps(config.need(self.layer_norm))
        else:
            writer.add_layer_norm_rms_eps(config.need("rms_norm_eps"))
        self.attention_keys(writer, config)
        rope_keys(writer, config)
        if config.rope().kind == "yarn" and not self.latent:
            yarn_factor_key(writer, config.rope())
        self.more_keys(writer, config)


@lru_cache
def _name_map(gguf_arch: Any, layers: int) -> Any:
    return gguf.get_tensor_name_map(gguf_arch, layers)


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
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope.number("factor"))
    if rope.kind == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
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


def refuse_unless(config: ModelConfig, key: str, allowed: set[Any]) -> None:
    """Raise UserError unless `key` has one of the allowed values (None: it may be missing)."""
    value = config.values.get(key)
    if (tuple(value) if isinstance(value, list) else value) not in allowed:
        known = ", ".join(str(v) for v in allowed if v is not None) or "none"
        message = f"{key} = {value!r} cannot be expressed in GGUF"
        raise UserError(message, path=config.path, hint=f"supported: {known}")


def check_pattern(config: ModelConfig, every: int) -> None:
    """Raise UserError unless every n-th layer sees all and the others a window, as in llama.cpp."""
    kinds = config.get("layer_types", [])
    for layer, kind in enumerate(kinds[: config.layers]):
        full = (layer + 1) % every == 0
        if kind != ("full_attention" if full else "sliding_attention"):
            message = f"layer_types: layer {layer} is {kind}; llama.cpp expects another order"
            raise UserError(message, path=config.path)


def window_warning(config: ModelConfig) -> list[str]:
    """What to say where llama.cpp knows no sliding window and the model has one."""
    window = config.get("sliding_window", 0)
    if not window or window >= config.context:
        return []
    return [f"llama.cpp ignores the sliding window: responses differ beyond {window} tokens"]


def as_float32(values: Any) -> Float32:
    return np.asarray(values, dtype=np.float32)
