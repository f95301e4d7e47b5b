"""Resolved targets as PEFT takes them: modules by name, experts and routers as parameters.

PEFT takes the names of experts' matrices (`gate_proj`) for all experts of a layer, also where a
shared expert or a dense layer has them, and refuses dropout beside parameters. So while training,
every linear layer is a LoRA layer of its own and dropout is put in afterwards; what is saved names
such layers by their `weight`, which plain PEFT loads as the same factors.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from workbench.bases.targets import Matrix, TargetGroup, expert_names, group_by_pattern
from workbench.pipeline.models.structure import is_linear, matrices_of
from workbench.pipeline.training.lora import LoraConfig, get_peft_model

PREFIX, BASE, WEIGHT = "base_model.model.", ".base_layer", ".weight"
_IN_FULL = re.compile(r"\.(modules_to_save|token_adapter)\..*$")
Names = Collection[str]


def needs_parameters(chosen: Iterable[Matrix], model: Any) -> bool:
    """Whether some of the matrices are saved as parameters: experts, routers, what PEFT mistakes
    for experts."""
    taken = expert_names(matrices_of(model))
    return any(one.is_parameter or one.name in taken for one in chosen)


def named_targets(
    model: Any, chosen: Sequence[Matrix], layers: list[int] | None
) -> dict[str, list[str] | list[int] | None]:
    """Arguments of LoraConfig that choose these matrices and no others.

    Last components of the names where they suffice, with the numbers of the `layers`; else paths.
    """
    linear = [one.path for one in chosen if not one.is_parameter]
    wanted = [one.path for one in chosen if one.is_parameter]
    names = sorted({path.rpartition(".")[2] for path in linear})
    alike = [
        one.path
        for one in matrices_of(model)
        if not one.is_parameter and one.name in names and (layers is None or one.layer in layers)
    ]
    short = set(alike) == set(linear)
    known = [name for name, _ in model.named_parameters()]
    return {
        "target_modules": names if short else linear,
        "layers_to_transform": layers if short and linear else None,
        "target_parameters": _shortened(wanted, known) or None,
    }


def wrap(model: Any, config: LoraConfig, dropout: float) -> Any:
    """The model with a fresh adapter by `config`, which becomes what plain PEFT understands."""
    taken = expert_names(matrices_of(model))
    mistaken = [m.path for m in matrices_of(model) if not m.is_parameter and m.name in taken]
    known = [name for name, _ in model.named_parameters()]
    config.lora_dropout = 0.0
    with _as_named():
        made = get_peft_model(model, config)
    _put_dropout(made, dropout)
    adapted = {name for name, one in made.base_model.model.named_modules() if _is_adapted(one)}
    own = [f"{path}{WEIGHT}" for path in mistaken if path in adapted]
    left = {t for t in config.target_modules if t.rpartition(".")[2] not in taken}
    config.target_modules = left
    config.layers_to_transform = config.layers_to_transform if left else None
    config.target_parameters = [*(config.target_parameters or ()), *_shortened(own, known)]
    return made


def trained_groups(made: Any) -> list[TargetGroup]:
    """What the network trains, by pattern and size: adapters, and what is trained in full."""
    return group_by_pattern(_trained(made))


def _trained(made: Any) -> Iterator[tuple[str, int, int]]:
    """Path, number of experts and trained elements of everything that has some."""
    told: dict[str, int] = {}
    for name, module in made.named_modules():
        own = [p for part, p in module.named_parameters() if part.startswith("lora_")]
        if not _is_adapted(module) or not any(p.requires_grad for p in own):
            continue
        path = name.removeprefix(PREFIX).replace(BASE, "")
        elements, experts = sum(p.numel() for p in own if p.requires_grad), 0
        if wraps_parameter(module):
            experts = module.num_experts if module.num_experts > 1 else 0
            path += f".{module.parameter_name}"
        yield path, experts, elements
    for name, parameter in made.named_parameters():
        if parameter.requires_grad and ".lora_" not in name:
            path = _IN_FULL.sub("", name.removeprefix(PREFIX)).replace(BASE, "")
            told[path] = told.get(path, 0) + parameter.numel()
    yield from ((path, 0, elements) for path, elements in told.items())


def merge_parameters(model: Any, path: Path) -> Any:
    """The model with what the adapter in folder `path` changes of experts and routers merged in.

    They are not quantized, and PEFT has adapters of several parameters only where all are alike.
    """
    config = LoraConfig.from_pretrained(path)
    _, config.target_parameters = _parted(config, model)
    if not config.target_parameters:
        return model
    config.target_modules, config.layers_to_transform = set(), None
    config.modules_to_save = config.trainable_token_indices = None
    with _as_named():
        made = get_peft_model(model, config)
    made.load_adapter(path, "default")
    return made.merge_and_unload()


def load_beneath(made: Any, path: Path, name: str) -> bool:
    """Add the rest of the adapter in folder `path` under that name; returns whether there is any.

    To be called on a model into which `merge_parameters` merged the others.
    """
    config = LoraConfig.from_pretrained(path)
    if config.target_parameters:
        linear, _ = _parted(config, made.get_base_model())
        config.target_modules = {*config.target_modules, *linear}
        config.target_parameters = None
        if not config.target_modules:
            return False
        with _as_named():
            made.add_adapter(name, config)
    made.load_adapter(path, name)
    return True


def _parted(config: LoraConfig, model: Any) -> tuple[list[str], list[str]]:
    """A saved adapter's parameters: names of linear layers, and those that are of none."""
    layers = [
        f".{name}".replace(BASE, "") for name, module in model.named_modules() if is_linear(module)
    ]
    linear, others = list[str](), list[str]()
    for target in config.target_parameters or ():
        path = target.removesuffix(WEIGHT)
        if path != target and any(name.endswith(f".{path}") for name in layers):
            linear.append(path)
        else:
            others.append(target)
    return linear, others


def wraps_parameter(module: nn.Module) -> bool:
    """Whether it is PEFT's adapter of a parameter, not of a linear layer."""
    return type(module).__name__ == "ParamWrapper"


def _is_adapted(module: nn.Module) -> bool:
    return hasattr(module, "lora_A")


def _shortened(paths: Sequence[str], known: Names) -> list[str]:
    """The last two components of the paths where no other parameter ends so, else the paths."""
    short = list(dict.fromkeys(".".join(path.split(".")[-2:]) for path in paths))
    ending = tuple(f".{name}" for name in short)
    found = {name for name in known if f".{name}".endswith(ending)} if short else set()
    return short if found == set(paths) else list(paths)


def _put_dropout(made: Any, share: float) -> None:
    """Put dropout before every adapter of a linear layer or of experts."""
    for module in made.modules():
        if share and hasattr(module, "lora_dropout"):
            for name in module.lora_dropout:
                module.lora_dropout[name] = nn.Dropout(share)


@contextmanager
def _as_named() -> Iterator[None]:
    """Within, PEFT takes targets as they are named, also those that experts had names like."""
    from peft.utils import transformers_weight_conversion as conversion

    name = "convert_peft_config_for_transformers"
    usual = getattr(conversion, name)
    setattr(conversion, name, lambda *given, **named: None)
    try:
        yield
    finally:
        setattr(conversion, name, usual)
