"""What every loss has: a model, and micro-batches of rows as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

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


class Loss(nn.Module):
    """Wraps a causal language model; forward gives the summed loss of a micro-batch in float32.

    One module with one forward, so that data-parallel wrappers see every parameter's use. The sum
    is over the batch's `trained_tokens`: a step divides it by those of all its micro-batches.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, batch: MicroBatchTensors) -> Tensor:  # ()
        """The sum of the loss over the batch's trained tokens."""
        raise NotImplementedError


def causal_model(model: Any) -> Any:
    """The transformers causal model inside a PEFT wrapper, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


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
