"""LoRA on a layer's experts, computed from the factors.

PEFT adds the product of the factors to the weights of all experts first: a second copy of them,
kept until the backward pass, and a gradient as large. Here each expert's tokens go through its
matrix and its factors. What this does not cover (several adapters, experts of another make) stays
with PEFT.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.pipeline.models.structure import DOWN, UP, computes_from_factors
from workbench.pipeline.training.adapted import wraps_parameter
from workbench.pipeline.training.lora import LowRankLinear


def join(model: nn.Module) -> int:
    """Let the experts of every layer that allows it compute so; returns how many layers do."""
    inner = {id(module.base_layer) for module in model.modules() if wraps_parameter(module)}
    outer = [m for m in model.modules() if wraps_parameter(m) and id(m) not in inner]
    joined = [_Joined(one) for one in outer if _plain(one)]
    for one in joined:
        one.wrapper.forward = one
    return len(joined)


@dataclass(frozen=True)
class _Factors:
    """Of one parameter: A (r, in) and B (out, r) of each expert; `dropout` before A."""

    a: tuple[Tensor, ...]
    b: tuple[Tensor, ...]
    scale: float
    dropout: nn.Module


class _Joined:
    """The forward of the outermost wrapper; PEFT's own while the adapter is off or merged."""

    def __init__(self, wrapper: Any) -> None:
        self.wrapper = wrapper
        self._peft = wrapper.forward
        self._of = {one.parameter_name: one for one in _chain(wrapper)}
        self._name = wrapper.active_adapters[0]

    def __call__(
        self, x: Tensor, index: Tensor, weights: Tensor, *args: Any, **named: Any
    ) -> Tensor:  # (T, hidden), (T, k), (T, k) -> (T, hidden)
        off = any(one.disable_adapters or one.merged for one in self._of.values())
        if off or args or named or torch.is_autocast_enabled(x.device.type):
            found: Tensor = self._peft(x, index, weights, *args, **named)
            return found
        experts, k = self.wrapper.get_base_layer(), index.shape[-1]
        order = torch.argsort(index.reshape(-1), stable=True)  # by expert
        counts = torch.bincount(index.reshape(-1), minlength=experts.num_experts).tolist()
        inner = experts._apply_gate(self._linear(UP, x[order // k], counts))
        out = self._linear(DOWN, inner, counts) * weights.reshape(-1)[order, None]
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order), device=order.device)
        return out[back].view(*index.shape, -1).sum(1).to(x.dtype)

    def _linear(self, name: str, x: Tensor, counts: list[int]) -> Tensor:  # (N, in) -> (N, out)
        """The rows of x, sorted by expert, through their experts' matrices."""
        experts = self.wrapper.get_base_layer()
        matrices = getattr(experts, name).unbind(0)
        biases = getattr(experts, f"{name}_bias").unbind(0) if experts.has_bias else None
        factors = self._factors(name)
        dropped = self._dropped(x, factors)
        parts = x.split(counts)
        left_out = dropped.split(counts) if dropped is not None else None
        found = []
        for number, rows in enumerate(parts):
            if not len(rows):
                continue
            matrix = matrices[number].t() if experts.is_transposed else matrices[number]
            bias = biases[number] if biases is not None else None
            if factors is None:
                found.append(F.linear(rows, matrix, bias))
                continue
            thinned = left_out[number] if left_out is not None else None
            a, b = factors.a[number], factors.b[number]
            found.append(_low_rank(rows, thinned, matrix, bias, a, b, factors.scale))
        return torch.cat(found)

    def _dropped(self, x: Tensor, factors: _Factors | None) -> Tensor | None:
        if factors is None or isinstance(factors.dropout, nn.Identity) or not self.wrapper.training:
            return None
        found: Tensor = factors.dropout(x)
        return found

    def _factors(self, name: str) -> _Factors | None:
        wrapper = self._of.get(name)
        if wrapper is None:
            return None
        a, b = wrapper.lora_A[self._name].weight, wrapper.lora_B[self._name].weight
        count = wrapper.num_experts
        return _Factors(
            a.view(count, -1, a.shape[-1]).unbind(0),
            b.view(b.shape[0], -1, count).permute(2, 0, 1).unbind(0),
            wrapper.scaling[self._name],
            wrapper.lora_dropout[self._name],
        )


def _low_rank(
    x: Tensor,
    dropped: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    a: Tensor,
    b: Tensor,
    scale: float,
) -> Tensor:  # (N, in), (N, in), (out, in), (out,), (r, in), (out, r) -> (N, out)
    """x W' + b + s (d A') B'; factors of another number format compute in theirs."""
    if x.dtype == a.dtype == weight.dtype:
        found: Tensor = LowRankLinear.apply(x, dropped, weight, bias, a, b, scale)
        return found
    added = F.linear(F.linear((x if dropped is None else dropped).to(a.dtype), a), b) * scale
    return F.linear(x, weight, bias) + added.to(x.dtype)


def _chain(wrapper: Any) -> list[Any]:
    """The wrapper and those inside it: one for each of the module's parameters."""
    found = [wrapper]
    while wraps_parameter(found[-1].base_layer):
        found.append(found[-1].base_layer)
    return found


def _plain(wrapper: Any) -> bool:
    """Whether it is one LoRA on frozen experts of the usual make."""
    base = wrapper.get_base_layer()
    frozen = not any(parameter.requires_grad for parameter in base.parameters())
    one = all(len(each.active_adapters) == 1 for each in _chain(wrapper))
    return frozen and one and computes_from_factors(base)
