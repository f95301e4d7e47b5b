"""The model of a training stage: loaded, what earlier stages learned merged in, adapter attached.

Invariant: exactly the parameters that the stage trains have `requires_grad`; an adapter's
initial values depend on the stage's seed alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from workbench.bases.targets import Matrix, resolve
from workbench.core.errors import UserError
from workbench.pipeline.models.causal_lm import cannot_load, load_causal
from workbench.pipeline.models.structure import matrices_of
from workbench.pipeline.models.weights import Weights
from workbench.pipeline.training import expert_lora, lora, packed_attention
from workbench.pipeline.training.adapted import (
    load_beneath,
    merge_parameters,
    named_targets,
    needs_parameters,
    wrap,
)
from workbench.pipeline.training.lora import (
    LoraConfig,
    ModulesToSaveWrapper,
    PeftModel,
    get_peft_model,
    without_bitsandbytes,
)
from workbench.pipeline.training.weight_prefetch import WeightPrefetch

TRAINED = "default"  # what PEFT calls an adapter that was given no name

PACKS = "support_avx512bf16_for_cpu"  # bitsandbytes' mark on its 4-bit layers


@dataclass(frozen=True)
class Adapter:
    """What is trained: `kind` lora, dora or full; the rest is for the first two."""

    kind: str = "lora"
    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    targets: str | tuple[str, ...] = "all-linear"
    last_layers: int = 0
    rslora: bool = False
    carry: bool = False
    modules_to_save: tuple[str, ...] = ()  # embed_tokens, lm_head: trained in full
    new_tokens: tuple[int, ...] = ()  # ids whose rows in embedding and head are trained besides


def load(
    weights: Weights,
    *,
    device: torch.device,
    dtype: torch.dtype,
    quantization: str = "none",
    vocabulary: int = 0,
    prefetch: WeightPrefetch | None = None,
) -> Any:
    """The causal model with `weights.adapters` merged in, frozen, with segment attention.

    It has a row for each token of a `vocabulary` of that size; those it had not before are the
    mean of the others. What `prefetch` has read is not read again; its `dtype` is
    the same. Raises UserError when the folder
    holds no model that transformers can read.
    """
    arguments: dict[str, Any] = {"dtype": dtype, "attn_implementation": packed_attention.NAME}
    if quantization != "none":
        arguments |= {"quantization_config": quantization_config(quantization, dtype)}
        arguments |= {"device_map": {"": device}}
    try:
        with prefetch.given() if prefetch else nullcontext():
            model = load_causal(weights.base, **arguments)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise cannot_load(error, weights.base) from error
    resize_embeddings(model, vocabulary)
    for adapter in weights.adapters:
        with without_bitsandbytes():
            model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    model.config.use_cache = False
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    _keep_gradients(model)
    return model if quantization != "none" else model.to(device)


@torch.no_grad()
def resize_embeddings(model: Any, vocabulary: int) -> None:
    """Add rows to the embedding and the output head, where there are fewer than `vocabulary`."""
    before = model.get_input_embeddings().weight.shape[0]
    if before >= vocabulary:
        return
    model.resize_token_embeddings(vocabulary, mean_resizing=False)
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        layer.weight[before:] = layer.weight[:before].float().mean(0).to(layer.weight.dtype)


def _keep_gradients(model: nn.Module) -> None:
    """Forbid bitsandbytes to pack 4-bit weights for the CPU when the model is evaluated.

    Its packed weights have no backward pass: after the first evaluation the layers before each
    would get no gradient through it, and nothing would say so.
    """
    for module in model.modules():
        if hasattr(module, PACKS):
            setattr(module, PACKS, False)


def attach_adapter(
    model: Any,
    adapter: Adapter,
    *,
    seed: int,
    continued_adapter: Path | None = None,
    frozen_adapters: Sequence[Path] = (),
) -> Any:
    """The model with trainable parameters: a fresh adapter, a continued one, or all of them.

    `frozen_adapters` are adapters of earlier stages that could not be merged into quantized
    weights: they compute along, frozen, so the sum is that of the export, W + d1 + d2.
    """
    if adapter.kind == "full":
        return _unfreeze(model, adapter.last_layers)
    with without_bitsandbytes():
        made = _attached(model, adapter, seed, continued_adapter, frozen_adapters)
    _train_in_float32(made)
    lora.fuse_lora_layers(made)
    expert_lora.join(made)
    return made


def _attached(
    model: Any,
    adapter: Adapter,
    seed: int,
    continued_adapter: Path | None,
    frozen_adapters: Sequence[Path],
) -> Any:
    for path in frozen_adapters:
        model = merge_parameters(model, path)
    chosen = targets(model, adapter)
    if needs_parameters(chosen, model):
        torch.manual_seed(seed)
        made = wrap(model, _lora_config(model, adapter, chosen), adapter.dropout)
        if continued_adapter is not None:
            made.load_adapter(continued_adapter, TRAINED, is_trainable=True)
    elif continued_adapter is not None:
        made = PeftModel.from_pretrained(model, continued_adapter, is_trainable=True)
    else:
        torch.manual_seed(seed)
        made = get_peft_model(model, _lora_config(model, adapter, chosen))
    return _lay_beneath(made, frozen_adapters) if frozen_adapters else made


def targets(model: Any, adapter: Adapter) -> list[Matrix]:
    """The model's matrices that get an adapter; none where all weights are trained.

    Raises UserError for a target that the model does not have.
    """
    if adapter.kind == "full":
        return []
    return resolve(
        matrices_of(model), adapter.targets, kind=adapter.kind, last_layers=adapter.last_layers
    )


def _lay_beneath(made: Any, adapters: Sequence[Path]) -> Any:
    named = {f"beneath_{number}": path for number, path in enumerate(adapters)}
    names = [name for name, path in named.items() if load_beneath(made, path, name)]
    made.base_model.set_adapter([TRAINED, *names])  # makes all of them trainable
    for name, parameter in made.named_parameters():
        if any(f".{below}" in name for below in names):
            parameter.requires_grad_(False)
    return made


def _unfreeze(model: Any, last_layers: int) -> Any:
    """All parameters, or those of the last layers and whatever stands after them."""
    chosen = _last_layers(model, last_layers)
    frozen = (
        () if chosen is None else ("embed_tokens.", *(f"layers.{n}." for n in range(chosen[0])))
    )
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(f".{part}" in f".{name}" for part in frozen))
    return model


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Name -> parameter, of all that the stage trains, in the model's order."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def count_parameters(model: Any) -> tuple[int, int]:
    """(trained, all) parameters; a tied weight counts once, a packed 4-bit one by its elements."""
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    total = model.num_parameters() if hasattr(model, "num_parameters") else trained
    return trained, int(total)


def _lora_config(model: Any, adapter: Adapter, chosen: Sequence[Matrix]) -> LoraConfig:
    saved = _saved(model, adapter.modules_to_save)
    layers = _last_layers(model, adapter.last_layers)
    return LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        use_rslora=adapter.rslora,
        use_dora=adapter.kind == "dora",
        modules_to_save=saved or None,
        ensure_weight_tying=bool(saved) and _is_tied(model),
        trainable_token_indices=_token_rows(model, adapter.new_tokens, saved) or None,
        task_type="CAUSAL_LM",
        **named_targets(model, chosen, layers),
    )


def _is_tied(model: Any) -> bool:
    return model.get_input_embeddings().weight is model.get_output_embeddings().weight


def _ends(model: Any) -> dict[str, str]:
    """The preset's name -> the model's, of the embedding and of a head that is not tied to it."""
    ends = {"embed_tokens": model.get_input_embeddings()}
    if not _is_tied(model):
        ends["lm_head"] = model.get_output_embeddings()
    names = {id(module): name for name, module in model.named_modules()}
    return {end: names[id(module)].rpartition(".")[2] for end, module in ends.items()}


def _saved(model: Any, wished: Sequence[str]) -> list[str]:
    """Names of the modules trained in full; of tied ones, the embedding stands for both."""
    ends = _ends(model)
    return list(dict.fromkeys(ends.get(end, ends["embed_tokens"]) for end in wished))


def _token_rows(model: Any, ids: Sequence[int], saved: Sequence[str]) -> dict[str, list[int]]:
    """Name of a module -> its rows that are trained, for those that are not trained in full."""
    return {name: list(ids) for name in _ends(model).values() if ids and name not in saved}


def _train_in_float32(made: Any) -> None:
    """Keep what is trained in full in float32: bfloat16 would round small steps away.

    The layers between go on in their own format.
    """
    for module in made.modules():
        if not isinstance(module, ModulesToSaveWrapper):
            continue
        dtype = module.original_module.weight.dtype
        for copy in module.modules_to_save.values():
            if dtype == torch.float32:
                continue
            copy.float()
            if isinstance(copy, nn.Embedding):
                copy.register_forward_hook(lambda _, given, out, dtype=dtype: out.to(dtype))
            else:
                copy.register_forward_pre_hook(lambda _, given: (given[0].float(),))


def _last_layers(model: Any, count: int) -> list[int] | None:
    layers = int(model.config.get_text_config().num_hidden_layers)
    if count > layers:
        raise UserError(f"train.adapter.last_layers: {count}, but the model has {layers}")
    return list(range(layers - count, layers)) if count else None


def quantization_config(kind: str, dtype: torch.dtype) -> Any:
    """bitsandbytes settings: NF4 with double quantization (QLoRA, Dettmers 2023), or LLM.int8()."""
    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        hint = "pip install bitsandbytes"
        raise UserError(f"model.quantization = {kind!r} needs bitsandbytes", hint=hint) from None
    from transformers import BitsAndBytesConfig

    if kind == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
