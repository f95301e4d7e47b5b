"""LoRA's linear layers, each as one node of autograd; and peft, imported without bitsandbytes.

PEFT adds the adapter's output to the layer's as a separate tensor, scaled in another: passes over
memory that take longer than the adapter's arithmetic. Here the low-rank products are added into the
existing output, forward and backward. Everything that this does not cover (DoRA, quantized weights,
several adapters, mixed number formats) stays with PEFT.

peft imports bitsandbytes wherever it is installed, and torch's compiler comes with it: longer than
all the rest of peft. Invariant: a model quantized by bitsandbytes has imported it before any of
this is called; if it is not loaded, the model has none of its layers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NAME = "bitsandbytes"


@contextmanager
def without_bitsandbytes() -> Iterator[None]:
    """Within, peft takes it for absent, unless it is loaded already; afterwards it looks anew."""
    if NAME in sys.modules:
        yield
        return
    sys.modules[NAME] = None  # type: ignore[assignment] # an import of it fails; nothing is found
    _look_anew()
    try:
        yield
    finally:
        del sys.modules[NAME]
        _look_anew()


def _look_anew() -> None:
    """peft remembers what it found when it looked first."""
    looks = sys.modules.get("peft.import_utils")
    if looks is not None:
        looks.is_bnb_available.cache_clear()
        looks.is_bnb_4bit_available.cache_clear()


with without_bitsandbytes():
    from peft import LoraConfig, PeftModel, get_peft_model
    from peft.tuners.lora.layer import Linear as LoraLayer
    from peft.utils.other import ModulesToSaveWrapper

__all__ = [
    "LoraConfig",
    "LoraLayer",
    "ModulesToSaveWrapper",
    "PeftModel",
    "get_peft_model",
    "without_bitsandbytes",
]


class LowRankLinear(torch.autograd.Function):
    """y = x W' + b + s (d A') B', where d is x, or x with dropout; ' transposes.

    W and b are frozen. Without dropout `dropped` is None, and x gets both gradients in one tensor.
    """

    @staticmethod
    def forward(  # (..., in), (..., in), (out, in), (out,), (r, in), (out, r) -> (..., out)
        ctx: Any,
        x: Tensor,
        dropped: Tensor | None,
        weight: Tensor,
        bias: Tensor | None,
        a: Tensor,
        b: Tensor,
        scale: float,
    ) -> Tensor:
        inner = _flat(x if dropped is None else dropped)
        low = inner @ a.t()  # (N, r)
        out = F.linear(_flat(x), weight, bias)
        out.addmm_(low, b.t(), alpha=scale)
        ctx.save_for_backward(inner, low, weight, a, b)
        ctx.scale, ctx.shape, ctx.apart = scale, x.shape, dropped is not None
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inner, low, weight, a, b = ctx.saved_tensors
        g = _flat(gradient)
        g_low = (g @ b).mul_(ctx.scale)  # (N, r)
        g_x = g_dropped = None
        if ctx.needs_input_grad[0]:
            g_x = g @ weight
            if ctx.apart:
                g_dropped = (g_low @ a).view(ctx.shape)
            else:
                g_x.addmm_(g_low, a)
            g_x = g_x.view(ctx.shape)
        g_b = (g.t() @ low).mul_(ctx.scale)
        return g_x, g_dropped, None, None, g_low.t() @ inner, g_b, None


def _flat(tensor: Tensor) -> Tensor:  # (..., C) -> (N, C)
    return tensor.reshape(-1, tensor.shape[-1])


def fuse_lora_layers(model: nn.Module) -> int:
    """Let every LoRA layer that allows it compute so; returns how many do."""
    layers = [m for m in model.modules() if type(m) is LoraLayer and _plain(m)]
    for layer in layers:
        layer.forward = _Joined(layer)
    return len(layers)


class _Joined:
    """The forward of a layer; PEFT's own while the adapter is off or merged."""

    def __init__(self, layer: Any) -> None:
        self._layer, self._name = layer, layer.active_adapters[0]
        self._peft = layer.forward

    def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        layer, name = self._layer, self._name
        a, b = layer.lora_A[name].weight, layer.lora_B[name].weight
        base = layer.get_base_layer()
        usual = layer.disable_adapters or layer.merged or kwargs or x.dtype != a.dtype
        if usual or torch.is_autocast_enabled(x.device.type):
            return self._peft(x, *args, **kwargs)
        dropout = layer.lora_dropout[name]
        dropped = dropout(x) if layer.training and not isinstance(dropout, nn.Identity) else None
        scale = layer.scaling[name]
        return LowRankLinear.apply(x, dropped, base.weight, base.bias, a, b, scale)


def _plain(layer: Any) -> bool:
    """Whether it is one LoRA without bias or variant on a layer that is not quantized."""
    base, names = layer.get_base_layer(), layer.active_adapters
    if type(base) is not nn.Linear or len(names) != 1 or layer.lora_variant:
        return False
    name = names[0]
    a, b = layer.lora_A[name], layer.lora_B[name]
    frozen = b.bias is None and not any(p.requires_grad for p in base.parameters())
    return frozen and base.weight.dtype == a.weight.dtype == b.weight.dtype
