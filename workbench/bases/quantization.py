"""Whether a base model is stored quantized, by its config.json, and which base model is not.

Quantized weights cannot be trained, and an adapter trained beside them fits only them. Methods that
store numbers with plain scales are dequantized as they are read (`pipeline.export.packed`); a base
of any other method is refused before its weights are downloaded, with the name of the unquantized
base model as far as the folder or its name tells it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from workbench.core.errors import UserError
from workbench.core.files import read_json_object

BITSANDBYTES, FP8 = "bitsandbytes", "fp8"
_FLOAT8 = ("fp8", "fbgemm_fp8")
_NAMES = {
    "awq": "AWQ",
    "auto-round": "AutoRound",
    "bitnet": "BitNet",
    "compressed-tensors": "compressed-tensors",
    "gptq": "GPTQ",
    "hqq": "HQQ",
    "mlx": "MLX",
    "mxfp4": "MXFP4",
    "torchao": "torchao",
}
_BITS = ("bits", "w_bit", "num_bits", "weight_bits")
_PLACES = ("quantization_config", "compression_config")
# Ends of names of quantized copies: "Qwen2.5-7B-Instruct-GPTQ-Int4", "Qwen3-4B-unsloth-bnb-4bit".
_ENDING = re.compile(
    r"([-_.](unsloth|bnb|mlx|gptq|awq|hqq|fp8|nvfp4|mxfp4|int[48]|[2345689][-_]?bits?|w[48]a(4|8|16)"
    r"|[248]b?it|dynamic|quantized|torchao|autoround|auto-round|sym|gemm|marlin|g?(32|64|128)g?))+$",
    re.IGNORECASE,
)
# Accounts with copies of other owners' models: the name without its ending is not theirs.
_COPIERS = (
    *("casperhansen", "hugging-quants", "kaitchup", "mlx-community", "neuralmagic", "nm-testing"),
    *("redhatai", "solidrust", "techxgenus", "thebloke", "turboderp", "lmstudio-community"),
)
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_CACHED = re.compile(r"models--([\w.-]+?)--([\w.-]+)")


@dataclass(frozen=True)
class StoredQuantization:
    """How the weights of a base are stored. `method` as config.json calls it, lower case; `bits`
    are 0 where it does not say; `settings` is all that it says."""

    method: str
    bits: int
    settings: Mapping[str, Any]

    @property
    def label(self) -> str:
        """For people: "GPTQ, 4-bit"."""
        name = _NAMES.get(self.method, self.method.upper() if self.is_float8 else self.method)
        return f"{name}, {self.bits}-bit" if self.bits and not self.is_float8 else name

    @property
    def is_float8(self) -> bool:
        """Whether weights are E4M3 numbers, each times a scale of its row, block or tensor."""
        if self.method in _FLOAT8:
            return True
        return self.method == "compressed-tensors" and self._format == "float-quantized"

    @property
    def dequantizes(self) -> bool:
        """Whether `pipeline.export.packed` reads it."""
        return self.is_float8 or self.method == BITSANDBYTES

    @property
    def block(self) -> tuple[int, int]:
        """Rows and columns that share a scale, (0, 0) where it does not say."""
        found: Any = self.settings.get("weight_block_size")
        for group in _groups(self.settings):
            found = found or group.get("block_structure")
        if isinstance(found, list) and len(found) == 2:
            return int(found[0]), int(found[1])
        return 0, 0

    @property
    def _format(self) -> str:
        return str(self.settings.get("format", ""))


def stored_quantization(config: Mapping[str, Any]) -> StoredQuantization | None:
    """What a config.json (parsed) says of quantized weights; None for plain ones.

    The places: transformers' `quantization_config`, that of an older compressed-tensors, either
    inside `text_config`, and MLX's `quantization`, which names no method.
    """
    text = config.get("text_config")
    for values in (config, text if isinstance(text, Mapping) else {}):
        for place in _PLACES:
            if isinstance(found := values.get(place), Mapping) and found:
                return StoredQuantization(_method(found), _bits(found), found)
        found = values.get("quantization")
        if isinstance(found, Mapping) and "group_size" in found:
            return StoredQuantization("mlx", _bits(found), found)
    return None


def plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The parsed config.json as that of the same model with plain weights."""
    keys = (*_PLACES, "quantization")
    plain = {key: value for key, value in config.items() if key not in keys}
    if isinstance(text := plain.get("text_config"), Mapping):
        plain["text_config"] = {key: value for key, value in text.items() if key not in keys}
    return plain


def check_quantization(base: Path, name: str = "") -> StoredQuantization | None:
    """How the base in `base` is stored; only its config.json and README.md are read.

    `name` is what the preset calls it. Raises UserError for a method that cannot be dequantized,
    naming the unquantized base model as far as it is known.
    """
    path = base / "config.json"
    stored = stored_quantization(read_json_object(path))
    if stored is None or stored.dequantizes:
        return stored
    raise UserError(
        f"this base model is quantized ({stored.label}) and cannot be trained",
        path=path,
        hint=way_out(base, name),
    )


def way_out(base: Path, name: str = "") -> str:
    """What to use in place of a quantized base, as a hint."""
    found = unquantized_name(base, name)
    use = f"use {found}" if "/" in found else "use the unquantized base model"
    if found and "/" not in found:
        use += f" {found} of its owner"
    return f'{use}; model.quantization = "nf4" holds it in 4 bits while training'


def unquantized_name(base: Path, name: str = "") -> str:
    """The base model that the one in `base` was quantized from, "" where nothing tells.

    OWNER/NAME of the model card's `base_model`, of the config's `_name_or_path`, or of the name
    itself without its ending; NAME alone where the owner is another one.
    """
    named = _hub_name(base, name)
    card = _card(base / "README.md").get("base_model")
    found = [*card] if isinstance(card, list) else [card]
    found.append(read_json_object(base / "config.json").get("_name_or_path"))
    for one in found:
        if isinstance(one, str) and _HUB_ID.fullmatch(one) and one != named:
            if not _ENDING.search(one):
                return one
    owner, _, last = named.rpartition("/")
    plain = _ENDING.sub("", last)
    if plain == last:
        return ""
    return f"{owner}/{plain}" if owner and owner.lower() not in _COPIERS else plain


def _hub_name(base: Path, name: str) -> str:
    """OWNER/NAME where it is one: as the preset says, or as the Hub's cache calls its folder."""
    if _HUB_ID.fullmatch(name) and not name.startswith((".", "~")):
        return name
    for part in base.parts:
        if match := _CACHED.fullmatch(part):
            return f"{match[1]}/{match[2]}"
    return Path(name or base).name


def _method(found: Mapping[str, Any]) -> str:
    """The method's name, also where an older or a foreign program left it out."""
    if found.get("quant_method"):
        return str(found["quant_method"]).lower()
    if found.get("load_in_4bit") or found.get("load_in_8bit"):
        return BITSANDBYTES
    if "group_size" in found and "bits" in found:
        return "mlx"
    return "unknown method"


def _bits(found: Mapping[str, Any]) -> int:
    if found.get("load_in_4bit") or found.get("_load_in_4bit"):
        return 4
    if found.get("load_in_8bit") or found.get("_load_in_8bit"):
        return 8
    for group in _groups(found):
        for key in _BITS:
            if isinstance(group.get(key), int):
                return int(group[key])
    return 0


def _groups(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The settings, and those of the weights in each of compressed-tensors' groups."""
    groups = found.get("config_groups")
    inner = groups.values() if isinstance(groups, Mapping) else ()
    weights = [one.get("weights") for one in inner if isinstance(one, Mapping)]
    return [found, *(one for one in weights if isinstance(one, Mapping))]


def _card(path: Path) -> dict[str, Any]:
    """The front matter of a model card; empty where there is none."""
    try:
        text = path.read_text(encoding="utf-8")
        match = re.match(r"---\s*\n(.*?)\n---\s*(\n|$)", text, re.DOTALL)
        found = yaml.safe_load(match[1]) if match else None
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}
