"""A PEFT LoRA folder as arithmetic on rows: W + scale * B @ A, and the tensors it replaces.

Rules as in peft (tuners/lora): scale = alpha / r, or alpha / sqrt(r) with use_rslora; alpha_pattern
names exceptions, r is the number of A's rows; DoRA scales every row of the sum to the length
`magnitude`; an embedding's delta is (B @ A).T.
Invariant: an option that this arithmetic does not cover is refused by name; none is passed over.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import UserError
from workbench.pipeline.export.shards import Float32, Shards

PREFIX = "base_model.model."
EMBEDDING = "embed_tokens.weight"
REFUSED = (
    "layer_replication",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
    "arrow_config",
    "fan_in_fan_out",
    "kasa_config",
    "lora_bias",
    "monteclora_config",
    "use_bdlora",
    "use_qalora",
    "velora_config",
)
_CHANGES_BASE = re.compile(r"pissa|olora|corda|loftq|lora_ga", re.IGNORECASE)
_PART = re.compile(
    r"(?P<module>.*)\.(?P<part>lora_[AB]|lora_embedding_[AB]|lora_magnitude_vector)"
    r"(\.default)?(\.weight)?"
)


@dataclass(frozen=True)
class Delta:
    """What one adapter does to one weight; rows are independent of each other."""

    left: Float32  # (rows, r): B, or A.T of an embedding
    right: Float32  # (r, columns): A, or B.T of an embedding
    scale: float
    magnitude: Float32 | None = None  # (rows,), DoRA

    def applied(self, weight: Float32, first: int) -> Float32:
        """The merged rows for `weight`, the rows that begin at `first`."""
        end = first + len(weight)
        merged = self.left[first:end] @ self.right
        merged *= np.float32(self.scale)
        merged += weight
        if self.magnitude is not None:
            lengths = np.linalg.norm(merged, axis=1)
            merged *= (self.magnitude[first:end] / lengths)[:, None]
        return merged


@dataclass(frozen=True)
class Adapter:
    """One PEFT folder. Keys of both maps are the base's tensor names, values this folder's."""

    folder: Path
    config: dict[str, Any]
    shards: Shards
    modules: dict[str, dict[str, str]] = field(default_factory=dict)
    replacements: dict[str, str] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)  # embeddings saved untouched

    def delta(self, name: str) -> Delta:
        """The factors for the weight `name`, read now, in float32."""
        parts = self.modules[name]
        embedding = "lora_embedding_A" in parts
        a = self.shards.rows(parts["lora_embedding_A" if embedding else "lora_A"])
        b = self.shards.rows(parts["lora_embedding_B" if embedding else "lora_B"])
        magnitude = None
        if "lora_magnitude_vector" in parts:
            magnitude = self.shards.rows(parts["lora_magnitude_vector"]).reshape(-1)
        scale = self.scale(name.removesuffix(".weight"), rank=len(a))
        left, right = (a.T, b.T) if embedding else (b, a)
        return Delta(left, right, scale, magnitude)

    def delta_shape(self, name: str) -> tuple[int, int]:
        """Rows and columns of the weight that the factors fit."""
        parts = self.modules[name]
        if "lora_embedding_A" in parts:
            a, b = (self.shards.shape(parts[f"lora_embedding_{x}"]) for x in "AB")
            return a[1], b[0]
        return self.shards.shape(parts["lora_B"])[0], self.shards.shape(parts["lora_A"])[1]

    def scale(self, module: str, rank: int) -> float:
        """The factor of B @ A for `module`."""
        alpha = float(self.config["lora_alpha"])
        for pattern, value in (self.config.get("alpha_pattern") or {}).items():
            if re.match(rf"(.*\.)?({pattern})$", module):
                alpha = float(value)
                break
        return alpha / (math.sqrt(rank) if self.config.get("use_rslora") else rank)

    def replaced(self, name: str, base: Shards) -> str | None:
        """This folder's tensor that stands in place of the base's `name`, or None.

        peft saves the untouched embedding beside an embedding's LoRA; it counts only when the
        vocabulary has another size than the base's.
        """
        if name in self.replacements:
            return self.replacements[name]
        copy = self.copies.get(name)
        if copy is None or (name in base and base.shape(name) == self.shards.shape(copy)):
            return None
        return copy


def read_adapter(folder: Path, *, config_folder: Path | None = None) -> Adapter:
    """The adapter in `folder`. Raises UserError, by name, for what cannot be merged.

    With `config_folder`, `folder` is a checkpoint of training, and its adapter's configuration lies
    in another one of the same stage.
    """
    config = _read_config(config_folder or folder)
    _refuse(config, (config_folder or folder) / "adapter_config.json")
    name = "trainable.safetensors" if config_folder else "adapter_model.safetensors"
    adapter = Adapter(folder, config, Shards(folder, name))
    for key in adapter.shards.tensors:
        adapter.shards.check_readable(key)
        _sort(adapter, key)
    for name, parts in adapter.modules.items():
        _check_complete(adapter, name, parts)
    return adapter


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "adapter_config.json"
    try:
        config = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError("no adapter_config.json here", path=folder) from None
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise UserError("this is no adapter configuration", path=path)
    return config


def _refuse(config: dict[str, Any], path: Path) -> None:
    if config.get("peft_type") != "LORA":
        message = f"adapter type {config.get('peft_type')} cannot be merged"
        raise UserError(message, path=path, hint="use LoRA or DoRA")
    for option in REFUSED:
        if config.get(option):
            raise UserError(f"an adapter with {option} cannot be merged", path=path)
    initial = config.get("init_lora_weights")
    if isinstance(initial, str) and _CHANGES_BASE.match(initial):
        hint = "save it with path_initial_model_for_weight_conversion first"
        message = f"init_lora_weights = {initial!r} has changed the base's own weights"
        raise UserError(message, path=path, hint=hint)


def _sort(adapter: Adapter, key: str) -> None:
    name = key.removeprefix(PREFIX)
    match = _PART.fullmatch(name)
    if match:
        adapter.modules.setdefault(match["module"] + ".weight", {})[match["part"]] = key
        return
    target = name.replace(".modules_to_save.default", "").replace(".base_layer", "")
    if "lora_" in name or not name.endswith((".weight", ".bias")):
        raise UserError(f"tensor {key} is not understood", path=adapter.folder)
    untouched = ".base_layer." in name and name.endswith(".weight")
    (adapter.copies if untouched else adapter.replacements)[target] = key


def _check_complete(adapter: Adapter, name: str, parts: dict[str, str]) -> None:
    pairs = ({"lora_A", "lora_B"}, {"lora_embedding_A", "lora_embedding_B"})
    if set(parts) - {"lora_magnitude_vector"} not in pairs:
        raise UserError(f"the factors of {name} are not whole", path=adapter.folder)
    if "lora_magnitude_vector" in parts and "lora_embedding_A" in parts:
        raise UserError(f"DoRA on the embedding {name} cannot be merged", path=adapter.folder)
