"""A tensor as it lies in a safetensors file, read a few rows at a time.

Nothing is mapped: a mapped file counts as ours. No more than the rows asked for is in memory.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.core.errors import UserError

Float32 = NDArray[np.float32]
Bytes = NDArray[np.uint8]

_NUMPY = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
PLAIN = tuple(_NUMPY)  # number formats of weights, by their names in safetensors files


@dataclass(frozen=True)
class Stored:
    """Where a tensor's bytes are. `offset` counts from the start of the file."""

    file: Path
    offset: int
    dtype: str
    shape: tuple[int, ...]

    @property
    def row_elements(self) -> int:
        return math.prod(self.shape[1:])

    def rows(self, first: int = 0, end: int | None = None) -> Float32:
        """Rows `[first, end)` as float32, shape (rows, elements of a row)."""
        n_rows = self.shape[0] if self.shape else 1
        count = (n_rows if end is None else end) - first
        dtype = np.dtype(_NUMPY[self.dtype])
        n_bytes = self.row_elements * dtype.itemsize
        values: NDArray[Any] = self.bytes(first * n_bytes, count * n_bytes).view(dtype)
        if self.dtype == "BF16":
            bits = values.astype(np.uint32)
            bits <<= 16
            values = bits.view(np.float32)
        return values.astype(np.float32, copy=False).reshape(count, self.row_elements)

    def bytes(self, first: int, count: int) -> Bytes:
        """`count` bytes of the tensor from its byte `first` on. Raises UserError at the end."""
        raw = _pread(self.file, count, self.offset + first)
        if len(raw) != count:
            raise UserError("the file was truncated while it was read", path=self.file)
        return np.frombuffer(raw, np.uint8)


def plain_bytes(dtype: str, shape: tuple[int, ...]) -> int | None:
    """Bytes of a tensor in a plain number format; None for any other format."""
    return math.prod(shape) * np.dtype(_NUMPY[dtype]).itemsize if dtype in _NUMPY else None


def _pread(path: Path, n_bytes: int, offset: int) -> bytes:
    """Those bytes of the file, fewer where it ends before."""
    pieces = list[bytes]()
    fd = os.open(path, os.O_RDONLY)
    try:
        while n_bytes and (raw := os.pread(fd, n_bytes, offset)):  # 2 GiB at a time on Linux
            pieces.append(raw)
            n_bytes, offset = n_bytes - len(raw), offset + len(raw)
    finally:
        os.close(fd)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
