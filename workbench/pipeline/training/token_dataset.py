"""Tokenized rows on disk and in memory: ids, which of them are trained, where each row begins.

One safetensors file a split: `ids` int32 (N,), `trained` uint8 (N,), `offsets` int64 (rows + 1,).
The first token of a row is never a target, whatever its flag: nothing predicts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from safetensors.numpy import load_file, save
from torch import Tensor

from workbench.core import files


class TokenSequence(Protocol):
    """What the data room makes of a row."""

    @property
    def ids(self) -> Sequence[int]: ...

    @property
    def trained(self) -> Sequence[int]: ...


class TokenDataset:
    """Rows of a split. Index them by row number."""

    def __init__(self, ids: np.ndarray, trained: np.ndarray, offsets: np.ndarray) -> None:
        self._ids, self._trained, self._offsets = ids, trained, offsets

    @classmethod
    def of(cls, rows: Iterable[TokenSequence]) -> TokenDataset:
        """Gather tokenized rows."""
        kept = list(rows)
        offsets = np.cumsum([0, *(len(row.ids) for row in kept)], dtype=np.int64)
        ids = np.fromiter((i for row in kept for i in row.ids), np.int32, int(offsets[-1]))
        trained = np.fromiter((t for row in kept for t in row.trained), np.uint8, len(ids))
        return cls(ids, trained, offsets)

    @classmethod
    def load(cls, path: Path) -> TokenDataset:
        """Read what `save` wrote."""
        arrays = load_file(path)
        return cls(arrays["ids"], arrays["trained"], arrays["offsets"])

    def save(self, path: Path) -> None:
        """Write the rows, whole or not at all."""
        arrays = {"ids": self._ids, "trained": self._trained, "offsets": self._offsets}
        files.write_atomic(path, save(arrays))

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def ids(self, row: int) -> Tensor:  # (length,) of int64
        return torch.from_numpy(self._row(self._ids, row).astype(np.int64))

    def trained(self, row: int) -> Tensor:  # (length,) of bool
        return torch.from_numpy(self._row(self._trained, row).astype(bool))

    @property
    def lengths(self) -> np.ndarray:  # (rows,) tokens
        return np.diff(self._offsets)

    @property
    def targets(self) -> np.ndarray:  # (rows,) trained tokens, the first token apart
        firsts = self._trained[self._offsets[:-1]] if len(self) else np.zeros(0, np.uint8)
        sums = (
            np.add.reduceat(self._trained.astype(np.int64), self._offsets[:-1])
            if len(self)
            else firsts
        )
        return sums - firsts

    def _row(self, array: np.ndarray, row: int) -> np.ndarray:
        return array[self._offsets[row] : self._offsets[row + 1]]


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
