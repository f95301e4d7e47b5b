"""The architectures that can be written as GGUF: one module a family over one common table.

A new family is a module with a tuple `FAMILIES` and a line in `_MODULES`. An architecture that is
not in the table is refused by name before any work.
"""

from __future__ import annotations

from pathlib import Path

from workbench.architectures import (
    cohere,
    deepseek,
    gemma,
    granite,
    llama,
    olmo,
    phi,
    qwen,
    smollm,
    starcoder,
)
from workbench.architectures.card import Architecture
from workbench.architectures.model_config import ModelConfig, read_config
from workbench.bases.architecture import not_exported

_MODULES = (llama, qwen, gemma, phi, smollm, deepseek, granite, olmo, cohere, starcoder)
FAMILIES = {family.architecture: family for module in _MODULES for family in module.FAMILIES}


def supported() -> list[str]:
    """Names of the architectures, as `architectures` in a config.json gives them."""
    return sorted(FAMILIES)


def family_of(base: Path) -> tuple[Architecture, ModelConfig]:
    """The family and the configuration of the model in `base`.

    Raises UserError for an architecture that is not supported, or a setting of it that llama.cpp
    cannot express.
    """
    config = read_config(base)
    unknown = not_exported(config.values, config.path)
    if unknown:
        raise unknown
    family = FAMILIES[config.architecture]
    if family.text_of:
        config = config.text_part(family.text_of)
    config = config.with_defaults(family.defaults).with_context(family.context_keys)
    family.check(config)
    return family, config
