"""A base's tensors against those of its model: what is missing, what has no place, what is unused.

Judged by the headers of the files alone: transformers loads tensors without values into a model
without memory, with its own renaming, joining of experts and tying. What it finds is true of the
real load, which would start a missing weight at random.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from workbench.core.errors import UserError
from workbench.core.text import listed, quantity
from workbench.pipeline.export.safetensors_reader import SafetensorsFolder
from workbench.pipeline.export.unused import unused as unused_because
from workbench.pipeline.models.causal_lm import (
    cannot_load,
    load_configs,
    loading_arguments,
    model_class,
    quiet_loading,
    require_loaded,
)

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
OTHER_PARTS = "other parts of a multimodal model"
_EXPERT = re.compile(r"(.*\.experts\.)(\d+)(\..*)")
# What the text model's tensors begin with in a checkpoint that holds other models too.
_TEXT = (
    *("language_model.", "model.language_model."),
    *("model.layers.", "model.embed_tokens.", "model.norm.", "lm_head."),
)


def check_keys(base: Path) -> Counter[str]:
    """How many stored tensors of the base are not used, by the reason why.

    Raises UserError with names for weights that are missing, have another shape or number format
    than the model's, or are not the model's at all; also for a model unknown to transformers.
    """
    shards = SafetensorsFolder(base)
    whole, config = load_configs(base)
    unused = Counter[str]()
    tensors = dict[str, Tensor]()
    values, multimodal = config.to_dict(), whole is not config
    for name, stored in shards.tensors.items():
        other = OTHER_PARTS if multimodal and not name.startswith(_TEXT) else ""
        if reason := other or unused_because(name, values):
            unused[reason] += 1
            continue
        shards.check_readable(name)
        tensors[name] = torch.empty(stored.shape, dtype=_DTYPES[stored.dtype], device="meta")
    _check_experts(tensors, base)
    model, told = _load_shapes(config, tensors, base, multimodal=multimodal)
    kind = type(model).__name__
    require_loaded(told, kind, base)
    if foreign := sorted(told["unexpected_keys"]):
        message = f"{quantity(len(foreign), 'stored tensor')} unknown to {kind}"
        hint = "check config.json, or use another copy of the base model"
        raise UserError(f"{message}: {listed(foreign)}", path=base, hint=hint)
    unused["ignored by transformers"] = sum(_ignored(model, name) for name in tensors)
    return +unused


def describe(unused: Mapping[str, int]) -> str:
    """The counts of `check_keys` as a line."""
    parts = ", ".join(f"{count:,} ({why})" for why, count in sorted(unused.items()))
    return f"stored tensors not used: {parts}"


def _ignored(model: Any, name: str) -> bool:
    patterns = model._keys_to_ignore_on_load_unexpected or ()
    return any(re.search(p, name) for p in patterns) and name not in model.state_dict()


def _check_experts(names: Iterable[str], base: Path) -> None:
    """Raise UserError for an expert without one of the matrices that the others have.

    transformers puts all of a layer together and only says that it could not.
    """
    stacks = defaultdict[tuple[str, str], set[int]](set)
    for name in names:
        if match := _EXPERT.fullmatch(name):
            stacks[match[1], match[3]].add(int(match[2]))
    count = max((max(found) for found in stacks.values()), default=-1) + 1
    missing = [
        f"{before}{number}{after}"
        for (before, after), found in stacks.items()
        for number in sorted(set(range(count)) - found)
    ]
    require_loaded({"missing_keys": missing, "mismatched_keys": []}, "the experts", base)


def _load_shapes(
    config: Any, tensors: Mapping[str, Tensor], base: Path, *, multimodal: bool
) -> tuple[Any, dict[str, Any]]:
    """A model without memory and what transformers reports of loading `tensors` into it."""
    try:
        with quiet_loading():
            model, told = model_class(config).from_pretrained(
                None,
                config=config,
                state_dict=dict(tensors),
                device_map={"": "meta"},
                **loading_arguments(multimodal=multimodal),
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise cannot_load(error, base) from error
    return model, told
