"""Cross-entropy over the trained tokens only, computed exactly and cheaply.

The decoder runs over all tokens; the output head only over the positions whose next token is
trained. That is the same loss as over all logits with the others masked, at a fraction of the
cost (the head is a third to two thirds of a small model).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from workbench.estimate.memory import CHUNK_LOGITS
from workbench.pipeline.training.token_dataset import TokenDataset


@dataclass(frozen=True)
class MicroBatchTensors:
    """A micro-batch on a device. `targets` are the tokens after the `selected` positions."""

    input_ids: Tensor  # (B, T)
    position_ids: Tensor  # (B, T)
    selected: Tensor  # (N,) positions in the flattened B * T
    targets: Tensor  # (N,)
    segments: tuple[int, ...]  # lengths of the rows laid end to end; () when padded
    tokens: int  # without padding

    @property
    def trained_tokens(self) -> int:
        return int(self.targets.numel())


class CrossEntropyLoss(nn.Module):
    """Wraps a causal language model; forward gives the summed loss of a micro-batch in float32.

    One module with one forward, so that data-parallel wrappers see every parameter's use.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model: Any = model

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


def causal_model(model: Any) -> Any:
    """The transformers causal model inside a PEFT wrapper, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def head_logits(causal: Any, hidden: Tensor) -> Tensor:  # (N, C) -> (N, V)
    """The output head with the model family's own scaling: Cohere, Granite, Gemma 2 and 3."""
    logits = causal.get_output_embeddings()(hidden)
    config = causal.config
    if scale := getattr(config, "logit_scale", None):
        logits = logits * scale
    if scaling := getattr(config, "logits_scaling", None):
        logits = logits / scaling
    if cap := getattr(config, "final_logit_softcapping", None):
        logits = cap * torch.tanh(logits / cap)
    return logits


def collate(
    examples: TokenDataset, rows: Sequence[int], *, packing: bool, pad_id: int, device: torch.device
) -> MicroBatchTensors:
    """Rows as one micro-batch. No attention mask is needed in either layout: packed segments are
    kept apart by the attention function, and padding stands to the right of all that counts."""
    ids = [examples.ids(row) for row in rows]
    trained = [examples.trained(row) for row in rows]
    lengths = [len(row) for row in ids]
    if packing:
        width, lines = sum(lengths), 1
        starts = torch.tensor([0, *lengths[:-1]]).cumsum(0).tolist()
    else:
        width, lines = max(lengths), len(rows)
        starts = [line * width for line in range(lines)]
    input_ids = torch.full((lines * width,), pad_id, dtype=torch.long)
    positions = torch.zeros(lines * width, dtype=torch.long)
    selected, targets = [], []
    for start, length, row, mask in zip(starts, lengths, ids, trained, strict=True):
        input_ids[start : start + length] = row
        positions[start : start + length] = torch.arange(length)
        chosen = mask[1:].nonzero().flatten()  # position i predicts token i + 1
        selected.append(chosen + start)
        targets.append(row[1:][chosen])
    return MicroBatchTensors(
        input_ids=input_ids.view(lines, width).to(device),
        position_ids=positions.view(lines, width).to(device),
        selected=torch.cat(selected).to(device),
        targets=torch.cat(targets).to(device),
        segments=tuple(lengths) if packing else (),
        tokens=sum(lengths),
    )
