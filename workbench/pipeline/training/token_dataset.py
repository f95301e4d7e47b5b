"""Tokenized rows on disk and in memory: ids, which of them are trained, where each row begins.

One safetensors file a split: `ids` int32 (N,), `trained` uint8 (N,), `offsets` int64 (rows + 1,).
The first token of a row is never a target, whatever its flag: nothing predicts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
