"""What an adapter does to the rows of one weight: arithmetic in float32, rows independent.

As in peft (tuners/lora, tuners/trainable_tokens): W + scale * B @ A, DoRA's rows scaled to a
length, single rows replaced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.pipeline.export.safetensors_reader import Float32


class Change(Protocol):
    """One step from the base's rows to the trained ones."""

    def applied(self, weight: Float32, first: int) -> Float32:
        """The new rows for `weight`, the rows that begin at `first`."""


@dataclass(frozen=True)
class Delta:
    """W + scale * left @ right, and with `magnitude` each row of that length (DoRA)."""

    left: Float32  # (rows, r): B, or A.T of an embedding
    right: Float32  # (r, columns): A, or B.T of an embedding
    scale: float
    magnitude: Float32 | None = None  # (rows,)

    def applied(self, weight: Float32, first: int) -> Float32:
        end = first + len(weight)
        scaled: Float32 = np.multiply(self.left[first:end], self.scale, dtype=np.float32)
        merged = scaled @ self.right
        merged += weight
        if self.magnitude is not None:
            lengths = np.linalg.norm(merged, axis=1)
            merged *= (self.magnitude[first:end] / lengths)[:, None]
        return merged


@dataclass(frozen=True)
class TokenRows:
    """Rows of an embedding that were trained by themselves: they stand in place of the base's."""

    ids: NDArray[np.int64]  # (n,)
    values: Float32  # (n, columns)

    def applied(self, weight: Float32, first: int) -> Float32:
        inside = (self.ids >= first) & (self.ids < first + len(weight))
        changed = weight.copy()
        changed[self.ids[inside] - first] = self.values[inside]
        return changed
