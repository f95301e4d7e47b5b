"""The matrices of a model, read off its modules; of a base on disk without reading any weight.

Invariant: the same list for the model in memory, quantized or not, and for one without values that
is made of its config.json.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM

from workbench.bases.targets import Matrix
from workbench.pipeline.models.causal_lm import text_config

_ROUTER = re.compile(r"(^|[._])(gate|router)(\.|$)")
_EXPERTS = re.compile(r"Expert")
UP, DOWN = "gate_up_proj", "down_proj"


def matrices_of(model: Any) -> list[Matrix]:
    """The model's matrices in its order, the output head apart."""
    head = model.get_output_embeddings()
    modules = {name: module for name, module in model.named_modules() if module is not head}
    blocks = {name.rpartition(".")[0] for name, one in modules.items() if _stacks(one)}
    parts = _parts(model) if blocks else {}
    found = list[Matrix]()
    for name, module in modules.items():
        is_router = any(_routes(name, block) for block in blocks)
        if is_linear(module):
            sizes = int(module.in_features), int(module.out_features)
            found.append(Matrix(name, *sizes, is_router=is_router))
        elif is_router and (weight := _weight(module)) is not None:
            outputs, inputs = weight.shape
            path = f"{name}.weight"
            found.append(Matrix(path, inputs, outputs, is_parameter=True, is_router=True))
        for leaf, stack in _stacks(module):
            experts, outputs, inputs = stack.shape
            if getattr(module, "is_transposed", False):
                inputs, outputs = outputs, inputs
            found.append(
                Matrix(
                    f"{name}.{leaf}",
                    inputs,
                    outputs,
                    experts,
                    is_parameter=True,
                    parts=parts.get(leaf, ()),
                    is_folded=not computes_from_factors(module),
                )
            )
    return found


def is_linear(module: nn.Module) -> bool:
    """Whether it is a linear layer, of torch's or of a quantized kind."""
    if isinstance(module, nn.Linear):
        return True
    return "Linear" in type(module).__name__ and hasattr(module, "in_features")


def computes_from_factors(experts: nn.Module) -> bool:
    """Whether these experts' adapters can be computed so, by what transformers says of them."""
    gated = getattr(experts, "has_gate", False) and not experts.has_post_expert_norm
    return bool(gated) and hasattr(experts, UP) and hasattr(experts, DOWN)


def base_matrices(base: Path) -> list[Matrix]:
    """The matrices of the base model in folder `base`, by its config.json alone.

    Raises UserError for a model that transformers does not know.
    """
    path = base / "config.json"
    state = path.stat()
    return list(_read(base, state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=8)
def _read(base: Path, changed_ns: int, size: int) -> tuple[Matrix, ...]:
    return tuple(config_matrices(text_config(base)))


def config_matrices(config: Any) -> list[Matrix]:
    """The matrices of the model with transformers' text configuration `config`."""
    with torch.device("meta"):
        return matrices_of(AutoModelForCausalLM.from_config(config))


def _stacks(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Name and parameter of each matrix that the module has once per expert."""
    if not _EXPERTS.search(type(module).__name__):
        return
    for name, parameter in module.named_parameters(recurse=False):
        if parameter.dim() == 3:
            yield name, parameter


def _routes(name: str, block: str) -> bool:
    """Whether the module chooses or weighs experts in the feed-forward block of that name."""
    inside = name.removeprefix(f"{block}.")
    return inside != name and "experts." not in inside and bool(_ROUTER.search(inside))


def _weight(module: nn.Module) -> nn.Parameter | None:
    own: Mapping[str, nn.Parameter] = dict(module.named_parameters(recurse=False))
    weight = own.get("weight")
    return weight if weight is not None and weight.dim() == 2 else None


def _parts(model: Any) -> dict[str, tuple[str, ...]]:
    """Name of a stack -> what the files call the matrices of an expert that it is made of."""
    from transformers.conversion_mapping import get_model_conversion_mapping

    found: dict[str, tuple[str, ...]] = {}
    for rule in get_model_conversion_mapping(model):
        sources = [s for s in rule.source_patterns if ".experts." in s and s.endswith(".weight")]
        for target in rule.target_patterns if sources else ():
            names = (source.removesuffix(".weight").rpartition(".")[2] for source in sources)
            found[target.rpartition(".")[2]] = tuple(names)
    return found
