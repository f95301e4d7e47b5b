"""A tensor's final rows, a slab at a time: read, merged, permuted, in float32.

A slab is what a thread does in one go and what is hashed at once. Its rows come in blocks, and each
goes through all that is done to it before the next is read, while a core's cache holds it.
Invariants: memory holds a few slabs, whatever the model's size; the merge comes before the
permutation and that before 1 + w; a slab knows where its rows are and reads them when asked, in any
thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from workbench.architectures.tensor_layout import RowRange
from workbench.pipeline.export.merged_weights import MergedTensor
from workbench.pipeline.export.plan import ExportPlan, TensorPlan
from workbench.pipeline.export.safetensors_reader import Float32

SLAB_BYTES = 8 << 20  # of float32
BLOCK_BYTES = 1 << 20  # of float32


@dataclass(frozen=True)
class RowChunk:
    """Rows `[first, end)` of the tensor's stored `source`, or a constant, which has none.

    They become the tensor's rows from `row` on.
    """

    tensor: TensorPlan
    source: MergedTensor | None = None
    first: int = 0
    end: int = 0
    transposed: bool = False
    row: int = 0

    @property
    def n_rows(self) -> int:
        """Rows to write."""
        if self.source is None:
            assert self.tensor.constant is not None
            return self.tensor.constant.size // self.tensor.columns
        return self.source.shape[-1] if self.transposed else self.end - self.first

    def blocks(self) -> Iterator[Float32]:
        """The values to write, in order, some rows of all columns at a time."""
        if self.source is None or self.transposed:
            yield self.rows(self.first, self.end)
            return
        step = _rows_of(BLOCK_BYTES, self.tensor)
        for first in range(self.first, self.end, step):
            yield self.rows(first, min(self.end, first + step))

    def rows(self, first: int, end: int) -> Float32:
        """The values to write for those rows of the source, (rows, columns)."""
        if self.source is None:
            assert self.tensor.constant is not None
            return self.tensor.constant.reshape(-1, self.tensor.columns)
        rows = self.source.rows(first, end)
        if self.transposed:
            return np.ascontiguousarray(rows.T)
        if self.tensor.heads:
            rows = in_pairs(rows, self.tensor.shape[0] // self.tensor.heads)
        return rows + np.float32(1) if self.tensor.add_one else rows


def row_chunks(plan: ExportPlan) -> Iterator[RowChunk]:
    """All slabs of all tensors, in order; the factors of a tensor are read when it begins."""
    for tensor in plan.tensors:
        if tensor.constant is not None:
            yield RowChunk(tensor)
            continue
        source, row = plan.merged.open(tensor.source), 0
        for piece in tensor.pieces:
            if piece.source != source.name:
                source = plan.merged.open(piece.source)
            for slab in _of_piece(tensor, source, piece, row):
                yield slab
                row += slab.n_rows


def _of_piece(
    tensor: TensorPlan, source: MergedTensor, piece: RowRange, row: int
) -> Iterator[RowChunk]:
    if piece.transposed:
        yield RowChunk(tensor, source, piece.first, piece.end, True, row)
        return
    step = _rows_of(SLAB_BYTES, tensor)
    for first in range(piece.first, piece.end, step):
        end = min(piece.end, first + step)
        yield RowChunk(tensor, source, first, end, row=row + first - piece.first)


def _rows_of(n_bytes: int, tensor: TensorPlan) -> int:
    """Rows in so many bytes of float32; whole heads where rows are permuted within heads."""
    step = max(1, n_bytes // 4 // tensor.columns)
    if tensor.heads:
        head_rows = tensor.shape[0] // tensor.heads
        step = max(head_rows, step // head_rows * head_rows)
    return step


def in_pairs(rows: Float32, head_rows: int) -> Float32:
    """Within each head, row i of the first half and row i of the second become neighbours."""
    columns = rows.shape[1]
    halves = rows.reshape(-1, 2, head_rows // 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(-1, columns)
