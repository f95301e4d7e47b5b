"""Tensors that lie whole on a rank, and those of which it holds a part (`DTensor`), alike.

Invariant: `whole` of a part is an exchange. All ranks ask for the same tensors, in one order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor


def is_shared(module: nn.Module) -> bool:
    """Whether its weights are shared out, so that all ranks must make as many passes."""
    return isinstance(module, FSDPModule)


def put_back(module: nn.Module) -> None:
    """Let go of what a pass without a backward pass has left together; to be done on all ranks."""
    if isinstance(module, FSDPModule):
        module.reshard()


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor: an exchange for one that is shared out, itself for any other."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """What this rank holds of it."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def part_like(parameter: Tensor, value: Any) -> Any:
    """A tensor of the parameter's shape laid out as the parameter is; anything else as it is.

    Every rank has all of it, so nothing is exchanged.
    """
    if not isinstance(parameter, DTensor) or getattr(value, "shape", None) != parameter.shape:
        return value
    moved = value.to(parameter.device)
    mesh, placements = parameter.device_mesh, parameter.placements
    return distribute_tensor(moved, mesh, placements, src_data_rank=None)


def unshared(parameters: Iterable[nn.Parameter]) -> Iterator[nn.Parameter]:
    """Those that every rank has whole, whose gradients are still to be added up."""
    return (p for p in parameters if not isinstance(p, DTensor))
