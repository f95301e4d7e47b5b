"""AdamW in its kinds, and its state as named tensors that safetensors can hold.

Weight decay leaves out norms and biases (every parameter with fewer than two dimensions).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from workbench.core.errors import UserError
from workbench.pipeline.training.distributed.sharding import full_tensor, part_like


def build(
    parameters: Mapping[str, nn.Parameter],
    *,
    kind: str,
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float],
    eps: float,
) -> torch.optim.Optimizer:
    """An optimizer over `parameters`, in their order; kinds adamw, adamw_8bit, paged_adamw_8bit."""
    values = list(parameters.values())
    groups = [
        {"params": [p for p in values if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in values if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if kind == "adamw":
        return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, eps=eps, fused=True)
    try:
        from bitsandbytes import optim
    except ImportError:
        hint = 'pip install bitsandbytes, or use "adamw"'
        raise UserError(f"train.optimizer = {kind!r} needs bitsandbytes", hint=hint) from None
    eight_bit = {"adamw_8bit": optim.AdamW8bit, "paged_adamw_8bit": optim.PagedAdamW8bit}[kind]
    return eight_bit(groups, lr=learning_rate, betas=betas, eps=eps)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def state_tensors(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]
) -> dict[str, Tensor]:
    """`name/key` -> tensor for all state of all parameters; plain numbers become 0-d tensors."""
    tensors = {}
    for name, parameter in parameters.items():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensor = full_tensor(value) if isinstance(value, Tensor) else torch.tensor(value)
            # A copy each: bitsandbytes shares its tables among all parameters.
            tensors[f"{name}/{key}"] = tensor.detach().cpu().clone().contiguous()
    return tensors


def load_state(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
    tensors: Mapping[str, Tensor],
) -> None:
    """Put back what `state_tensors` gave, through the optimizer's own loading (devices, dtypes)."""
    numbers = _numbers(optimizer)
    state: dict[int, dict[str, Any]] = {}
    for full_name, tensor in tensors.items():
        name, _, key = full_name.rpartition("/")
        value = part_like(parameters[name], _plain(key, tensor))
        state.setdefault(numbers[parameters[name]], {})[key] = value
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )


def _plain(key: str, tensor: Tensor) -> Any:
    """bitsandbytes counts its steps in a plain int; torch's AdamW in a float tensor."""
    is_count = key == "step" and tensor.dtype == torch.int64
    return int(tensor) if is_count else tensor


def _numbers(optimizer: torch.optim.Optimizer) -> dict[nn.Parameter, int]:
    """Parameter -> its number in the optimizer's state dict (the order over all groups)."""
    flat = [p for group in optimizer.param_groups for p in group["params"]]
    return {parameter: number for number, parameter in enumerate(flat)}
