"""A model sharded over the ranks (torch FSDP2), and its tensors, whole or sharded (`DTensor`).

Each rank holds its shard of every weight; a layer is gathered only while it computes. An adapter's
weights stay whole on every rank: they are small. In full fine-tuning the weights, their gradients
and the optimizer's state are sharded too.

Invariants: a forward pass is a collective operation, and so is `full_tensor` of a shard: all ranks
make the same calls, in one order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from workbench.core.errors import UserError
from workbench.pipeline.models.causal_lm import causal_model
from workbench.pipeline.training.distributed.collectives import ProcessGroup
from workbench.pipeline.training.losses.base import Loss


def is_sharded(module: nn.Module) -> bool:
    """Whether its weights are shared out, so that all ranks must make as many passes."""
    return isinstance(module, FSDPModule)


def reshard(module: nn.Module) -> None:
    """Let go of what a pass without a backward pass has left together; to be done on all ranks."""
    if isinstance(module, FSDPModule):
        module.reshard()


def full_tensor(tensor: Tensor) -> Tensor:
    """All of a tensor: an exchange for one that is shared out, itself for any other."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local_tensor(tensor: Tensor) -> Tensor:
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


def unsharded(parameters: Iterable[nn.Parameter]) -> Iterator[nn.Parameter]:
    """Those that every rank has whole, whose gradients are still to be added up."""
    return (p for p in parameters if not isinstance(p, DTensor))


def refuse_half(dtype: torch.dtype) -> None:
    """Raise UserError where all weights are to be trained in float16; rules know the rest."""
    if dtype == torch.float16:
        message = "sharded full fine-tuning does not work in float16"
        raise UserError(f"launch.sharding: {message}", hint='use dtype = "bfloat16" or "float32"')


def shard_model(
    module: Loss,
    ranks: ProcessGroup,
    device: torch.device,
    compute: torch.dtype | None = None,
) -> None:
    """Share the weights of `module` out among the ranks, each part on its rank's `device`.

    Parameters that are trained beside frozen ones are left whole. `compute` is the format that the
    layers compute in, where it is not that of the weights. To be done before an optimizer is made.
    """
    parameters = list(module.parameters())
    trained = {p for p in parameters if p.requires_grad}
    left = trained if len(trained) < len(parameters) and _has_adapter(module) else set()
    for parameter in left:
        parameter.data = parameter.data.to(device)
    _lay_bare(module, device)
    settings: dict[str, Any] = {
        "mesh": init_device_mesh(device.type, (ranks.size,)),
        "mp_policy": MixedPrecisionPolicy(param_dtype=compute, reduce_dtype=torch.float32)
        if compute
        else MixedPrecisionPolicy(),
        "ignored_params": left,
    }
    for layer in causal_model(module.model).base_model.layers:
        fully_shard(layer, **settings)
    fully_shard(module, **settings)
    for part in module.modules():
        if isinstance(part, FSDPModule):  # sums: every token weighs the same in the loss already
            part.set_gradient_divide_factor(1.0)
            part.set_force_sum_reduction_for_comms(True)


def full_state_dict(network: nn.Module) -> dict[str, Tensor]:
    """Name -> all of a weight, on the CPU, as a checkpoint of the model has it: an exchange."""
    kept = network.state_dict().keys()
    buffers: Mapping[str, Tensor] = {n: b for n, b in network.named_buffers() if n in kept}
    return {
        name: full_tensor(tensor.detach()).cpu()
        for name, tensor in (*network.named_parameters(), *buffers.items())
    }


def _has_adapter(module: Loss) -> bool:
    return causal_model(module.model) is not module.model


def _lay_bare(module: nn.Module, device: torch.device) -> None:
    """Make plain bytes of bitsandbytes' 4-bit weights; each layer keeps what they mean, whole.

    Its forward pass puts the two together, whatever holds the bytes at that moment.
    """
    for part in module.modules():
        state = getattr(part, "quant_state", None)
        if state is not None and isinstance(part, nn.Linear):
            state.to(device)
            bare = part.weight.data.as_subclass(Tensor)
            part.weight = nn.Parameter(bare, requires_grad=False)
