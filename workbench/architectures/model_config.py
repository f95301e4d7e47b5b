"""A model's config.json, read alike whether an older or a newer transformers wrote it.

Version 5 writes `rope_parameters`; before, `rope_theta` and `rope_scaling` stood side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.bases.architecture import read_config as read_values
from workbench.bases.quantization import plain_config
from workbench.core.errors import UserError

ROPE_THETA = 10000.0
CONTEXT = "max_position_embeddings"
# what stands beside a text model's own configuration and is true of it too
_SHARED = ("bos_token_id", "eos_token_id", "pad_token_id", "dtype", "torch_dtype")


@dataclass(frozen=True)
class Rope:
    """Rotary position embedding: base, kind (`default`, `linear`, `yarn`, ...) and its numbers."""

    theta: float
    kind: str
    values: Mapping[str, Any]
    path: Path

    def need(self, key: str) -> Any:
        """The value of `key`; raises UserError when it is missing."""
        value = self.values.get(key)
        if value is None:
            raise UserError(f"rope type {self.kind!r} without {key}", path=self.path)
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """The number `key`; raises UserError when neither it nor a default is there."""
        value = self.values.get(key, default)
        return float(self.need(key) if value is None else value)


@dataclass(frozen=True)
class ModelConfig:
    """What the export needs of a config.json. `values` is the whole of it."""

    path: Path
    values: Mapping[str, Any]

    def get(self, key: str, default: Any = None) -> Any:
        value = self.values.get(key)
        return default if value is None else value

    def need(self, key: str) -> Any:
        """The value of `key`; raises UserError when it is missing."""
        value = self.values.get(key)
        if value is None:
            raise UserError(f"has no {key}", path=self.path)
        return value

    @property
    def architecture(self) -> str:
        names = self.get("architectures", [])
        return str(names[0]) if names else ""

    @property
    def layers(self) -> int:
        return int(self.need("num_hidden_layers"))

    @property
    def heads(self) -> int:
        return int(self.need("num_attention_heads"))

    @property
    def kv_heads(self) -> int:
        return int(self.get("num_key_value_heads", self.heads))

    @property
    def head_dim(self) -> int:
        return int(self.get("head_dim", self.need("hidden_size") // self.heads))

    @property
    def experts(self) -> int:
        """Experts that a router chooses from, 0 for a dense model."""
        names = ("num_experts", "num_local_experts", "n_routed_experts")
        return next((int(self.values[n]) for n in names if self.values.get(n)), 0)

    @property
    def context(self) -> int:
        """The longest sequence the model was made for, in tokens."""
        return int(self.need(CONTEXT))

    def rope(self, layers: str = "full_attention") -> Rope:
        """The rotary embedding of all layers, or of those of one attention kind."""
        values = self.values.get("rope_parameters")
        if values is None:
            values = self.get("rope_scaling", {})
        if "full_attention" in values:
            values = values[layers]
        kind = values.get("rope_type", values.get("type")) or "default"
        kind = "longrope" if kind == "su" else kind
        theta = values.get("rope_theta") or self.get("rope_theta", ROPE_THETA)
        return Rope(float(theta), str(kind), values, self.path)

    def with_defaults(self, defaults: Mapping[str, Any]) -> ModelConfig:
        """The same configuration; a key of `defaults` that is missing has that value."""
        missing = {k: v for k, v in defaults.items() if self.values.get(k) is None}
        return ModelConfig(self.path, {**self.values, **missing})

    def with_context(self, keys: Sequence[str]) -> ModelConfig:
        """The same configuration with the first of the `keys` that is there as its context."""
        found = [self.values[key] for key in keys if self.values.get(key) is not None]
        return ModelConfig(self.path, {**self.values, CONTEXT: found[0]}) if found else self

    def text_part(self, architecture: str) -> ModelConfig:
        """The configuration of the text model inside, as that of a model of its own.

        Raises UserError where there is none.
        """
        text = self.need("text_config")
        if not isinstance(text, dict):
            raise UserError("text_config is not a configuration", path=self.path)
        shared = {key: self.values[key] for key in _SHARED if self.values.get(key) is not None}
        return ModelConfig(self.path, {**shared, **text, "architectures": [architecture]})

    def with_layers(self, layers: int) -> ModelConfig:
        """The same model cut off after its first `layers` layers."""
        return ModelConfig(self.path, {**self.values, "num_hidden_layers": layers})


def read_config(folder: Path) -> ModelConfig:
    """The config.json in `folder`, of a quantized base as that of plain weights, which are read.

    Raises UserError where it is missing or not a JSON object.
    """
    return ModelConfig(folder / "config.json", plain_config(read_values(folder)))
