"""What differs between architectures, as plain data: one `Architecture` for each model class.

`pipeline.export.gguf_keys` writes a card as GGUF keys and names. Functions of a card that write
keys are given a `gguf.GGUFWriter`; no card imports gguf or numpy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from workbench.architectures.model_config import CONTEXT, ModelConfig
from workbench.architectures.tensor_layout import Storage, TensorPart, whole
from workbench.core.errors import UserError

_QUERY_OR_KEY = re.compile(r"\.(q|k)_proj\.(weight|bias)$")


class RopeScaling(StrEnum):
    """Values of the GGUF key `rope.scaling.type`."""

    NONE = "none"
    LINEAR = "linear"
    YARN = "yarn"
    LONGROPE = "longrope"


def _nothing(config: ModelConfig) -> None:
    pass


def _no_keys(writer: Any, config: ModelConfig) -> None:
    pass


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
    gguf_arch: str
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
    warnings: Callable[[ModelConfig], list[str]] = _no_warnings

    def tied(self, config: ModelConfig) -> bool:
        return bool(config.get("tie_word_embeddings", False))

    def layers_for_parity(self, config: ModelConfig) -> int:
        """Layers of a cut-off copy; dense layers before the experts come on top."""
        shown = max(self.parity_layers, int(config.get("first_k_dense_replace", 0)) + 1)
        return min(shown, config.layers)

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
