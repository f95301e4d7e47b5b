"""A PEFT LoRA folder: which weights it changes, with what factors, and the tensors it replaces.

Rules as in peft (tuners/lora): scale = alpha / r, or alpha / sqrt(r) with use_rslora; alpha_pattern
names exceptions, r is the number of A's rows; an embedding's delta is (B @ A).T.
Invariant: an option that this arithmetic does not cover is refused by name; none is passed over.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.architectures.tensor_layout import Storage
from workbench.core.errors import UserError
from workbench.pipeline.export.safetensors_reader import Float32, SafetensorsFolder
from workbench.pipeline.export.weight_deltas import (
    ExpertFactors,
    LoraDelta,
    TokenRowReplacement,
    WeightChange,
    expert_factors,
)

PREFIX = "base_model.model."
EMBEDDING = "embed_tokens.weight"
TOKEN_ROWS = ".token_adapter.trainable_tokens_delta"
STACK = ".experts"
REFUSED = (
    "layer_replication",
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
class PeftAdapter:
    """One PEFT folder. Keys of the maps are the base's tensor names, values this folder's.

    `stacks` are factors for all experts of a layer at once, by the module that holds them in
    memory; `stored_as` gives `experts` their names.
    """

    folder: Path
    config: dict[str, Any]
    shards: SafetensorsFolder
    modules: dict[str, dict[str, str]] = field(default_factory=dict)
    replacements: dict[str, str] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)  # embeddings saved untouched
    token_rows: dict[str, str] = field(default_factory=dict)
    stacks: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    experts: dict[str, ExpertFactors] = field(default_factory=dict)
    _kept: dict[str, Float32] = field(default_factory=dict, repr=False)

    @property
    def changed(self) -> list[str]:
        """Names of the weights whose values come from the base and are changed."""
        return list(dict.fromkeys([*self.modules, *self.experts, *self.token_rows]))

    def changes(self, name: str) -> list[WeightChange]:
        """What is done to the weight `name`, read now, in float32."""
        found = list[WeightChange]()
        if name in self.modules:
            found.append(self.delta(name))
        if name in self.experts:
            found.append(self._expert_delta(self.experts[name]))
        if name in self.token_rows:
            found.append(self._token_rows(name))
        return found

    def delta(self, name: str) -> LoraDelta:
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
        return LoraDelta(left, right, scale, magnitude)

    def _expert_delta(self, found: ExpertFactors) -> LoraDelta:
        rank = self.shards.shape(found.a)[0] // found.experts
        a = self.shards.rows(found.a, found.expert * rank, (found.expert + 1) * rank)
        b = self._whole(found.b)[found.rows, found.expert :: found.experts]
        return LoraDelta(np.ascontiguousarray(b), a, self.scale(found.module, rank))

    def _whole(self, key: str) -> Float32:
        """The tensor `key`; the last one is kept, for the experts that share it."""
        if key not in self._kept:
            self._kept.clear()
            self._kept[key] = self.shards.rows(key)
        return self._kept[key]

    def _token_rows(self, name: str) -> TokenRowReplacement:
        return TokenRowReplacement(self._token_ids(name), self.shards.rows(self.token_rows[name]))

    def _token_ids(self, name: str) -> NDArray[np.int64]:
        """Ids of the rows in this folder's tensor for the embedding `name`."""
        found = self.config.get("trainable_token_indices") or []
        if isinstance(found, dict):
            module = name.removesuffix(".weight")
            names = [k for k in found if module == k or module.endswith(f".{k}")]
            found = found[names[0]] if names else next(iter(found.values()))
        ids = np.asarray(found, dtype=np.int64)
        if ids.shape != self.shards.shape(self.token_rows[name])[:1]:
            message = f"trainable_token_indices does not fit the rows of {name}"
            raise UserError(message, path=self.folder)
        return ids

    def stored_as(self, storage: Storage, base: SafetensorsFolder) -> PeftAdapter:
        """The same with the names that the base's files use, its experts one by one."""

        def renamed(found: dict[str, Any]) -> dict[str, Any]:
            return {storage.stored(name): value for name, value in found.items()}

        experts = dict[str, ExpertFactors]()
        for module, pairs in self.stacks.items():
            experts |= expert_factors(
                module, storage.stored(module), storage.experts, pairs.values(), self.shards, base
            )
        return replace(
            self,
            modules=renamed(self.modules),
            replacements=renamed(self.replacements),
            copies=renamed(self.copies),
            experts=experts,
        )

    def delta_shape(self, name: str) -> tuple[int, int]:
        """Rows and columns of the weight that the factors fit."""
        if name in self.token_rows:
            rows, columns = self.shards.shape(self.token_rows[name])
            return int(self._token_ids(name).max(initial=-1)) + 1, columns
        if name in self.experts:
            found = self.experts[name]
            return found.rows.stop - found.rows.start, self.shards.shape(found.a)[1]
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

    def replaced(self, name: str, base: SafetensorsFolder, begun: str = "") -> str | None:
        """This folder's tensor that stands in place of the base's `name`, or None.

        peft saves the untouched embedding beside an embedding's LoRA; it counts only when the
        vocabulary has another size than the base's. `begun` is the base's tensor for `name` where
        it has another name there.
        """
        if name in self.replacements:
            return self.replacements[name]
        copy, begun = self.copies.get(name), begun or name
        if copy is None or (begun in base and base.shape(begun) == self.shards.shape(copy)):
            return None
        return copy


def read_adapter(folder: Path, *, config_folder: Path | None = None) -> PeftAdapter:
    """The adapter in `folder`. Raises UserError, by name, for what cannot be merged.

    With `config_folder`, `folder` is a checkpoint of training, and its adapter's configuration lies
    in another one of the same stage.
    """
    config = _read_config(config_folder or folder)
    _refuse(config, (config_folder or folder) / "adapter_config.json")
    name = "trainable.safetensors" if config_folder else "adapter_model.safetensors"
    adapter = PeftAdapter(folder, config, SafetensorsFolder(folder, name))
    for key in adapter.shards.tensors:
        adapter.shards.check_readable(key)
        _sort(adapter, key)
    for name, parts in adapter.modules.items():
        _check_complete(adapter, name, parts)
    for module, pairs in adapter.stacks.items():
        for parts in pairs.values():
            _check_complete(adapter, module, parts)
    return adapter


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "adapter_config.json"
    try:
        config = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError("adapter_config.json is missing", path=folder) from None
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise UserError("not an adapter configuration", path=path)
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


def _sort(adapter: PeftAdapter, key: str) -> None:
    name = key.removeprefix(PREFIX)
    match = _PART.fullmatch(name)
    stack = match["module"].replace(".base_layer", "") if match else ""
    if match and stack.endswith(STACK):
        pairs = adapter.stacks.setdefault(stack, {})
        pairs.setdefault(match["module"], {})[match["part"]] = key
        return
    if match:
        adapter.modules.setdefault(match["module"] + ".weight", {})[match["part"]] = key
        return
    if name.endswith(TOKEN_ROWS):
        adapter.token_rows[name.removesuffix(TOKEN_ROWS) + ".weight"] = key
        return
    target = name
    for inner in (".modules_to_save.default", ".token_adapter", ".base_layer"):
        target = target.replace(inner, "")
    if "lora_" in name or not name.endswith((".weight", ".bias")):
        raise UserError(f"unknown tensor {key}", path=adapter.folder)
    untouched = ".base_layer." in name and name.endswith(".weight")
    (adapter.copies if untouched else adapter.replacements)[target] = key


def _check_complete(adapter: PeftAdapter, name: str, parts: dict[str, str]) -> None:
    pairs = ({"lora_A", "lora_B"}, {"lora_embedding_A", "lora_embedding_B"})
    if set(parts) - {"lora_magnitude_vector"} not in pairs:
        raise UserError(f"the LoRA factors of {name} are incomplete", path=adapter.folder)
    if "lora_magnitude_vector" in parts and "lora_embedding_A" in parts:
        raise UserError(f"DoRA on the embedding {name} cannot be merged", path=adapter.folder)
