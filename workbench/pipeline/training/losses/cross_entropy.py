"""Cross-entropy over the trained tokens only, computed exactly and cheaply.

The decoder runs over all tokens; the output head only over the positions whose next token is
trained. That is the same loss as over all logits with the others masked, at a fraction of the
cost (the head is a third to two thirds of a small model).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from workbench.estimate.memory import CHUNK_LOGITS
from workbench.pipeline.models.causal_lm import causal_model, head_logits
from workbench.pipeline.training.losses.base import Loss
from workbench.pipeline.training.token_dataset import MicroBatchTensors


class CrossEntropyLoss(Loss):
    """Cross-entropy in nats of the tokens that are trained."""

    def forward(self, batch: MicroBatchTensors) -> Tensor:  # ()
        """Sum of cross-entropies in nats over the batch's trained tokens."""
        causal = causal_model(self.model)
        hidden = causal.base_model(
            input_ids=batch.input_ids,
            position_ids=batch.position_ids,
            use_cache=False,
            segments=batch.segments,
        ).last_hidden_state
        chosen = hidden.reshape(-1, hidden.shape[-1])[batch.selected]  # (N, C)
        return summed_cross_entropy(causal, chosen, batch.targets)


def summed_cross_entropy(
    causal: Any, hidden: Tensor, targets: Tensor
) -> Tensor:  # (N, C), (N,) -> ()
    """Sum of cross-entropies, with no more than CHUNK_LOGITS logits in memory at once.

    Beyond that the positions go through the head in chunks: 4,096 tokens of a vocabulary of 150,000
    would hold 6 GB otherwise. Under a frozen head each chunk's gradient is taken at once; else its
    logits are computed again for it, as they are in float16, whose scaled loss comes later.
    """
    head = causal.get_output_embeddings()
    rows = max(1, CHUNK_LOGITS // head.weight.shape[0])
    if len(targets) <= rows:
        return _loss_of(causal, hidden, targets)
    mixed = torch.is_autocast_enabled(hidden.device.type) or hidden.dtype == torch.float16
    if not mixed and not any(parameter.requires_grad for parameter in head.parameters()):
        return _FrozenHeadLoss.apply(hidden, targets, causal, rows)
    total = torch.zeros((), device=hidden.device)
    for part, wanted in zip(hidden.split(rows), targets.split(rows), strict=True):
        total = total + checkpoint(_loss_of, causal, part, wanted, use_reentrant=False)
    return total


def _loss_of(causal: Any, hidden: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(head_logits(causal, hidden).float(), targets, reduction="sum")


class _FrozenHeadLoss(torch.autograd.Function):
    """The loss of many positions, `rows` at a time; a chunk's logits are gone before the next."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, targets: Tensor, causal: Any, rows: int) -> Tensor:
        wanted = ctx.needs_input_grad[0]
        gradient = torch.empty_like(hidden) if wanted else None
        total = torch.zeros((), device=hidden.device)
        for start in range(0, len(targets), rows):
            part = hidden[start : start + rows].detach().requires_grad_(wanted)
            with torch.set_grad_enabled(wanted):
                loss = _loss_of(causal, part, targets[start : start + rows])
            if gradient is not None:
                (gradient[start : start + rows],) = torch.autograd.grad(loss, part)
            total += loss.detach()
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return ctx.saved_tensors[0] * gradient, None, None, None
