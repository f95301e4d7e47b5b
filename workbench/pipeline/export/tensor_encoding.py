"""float32 rows to GGUF number formats, byte for byte as llama-quantize encodes them.

`ggml_quantize_chunk` (ggml.h, from the libraries of llama-cpp-python) is what llama-quantize calls
too; F16 and Q8_0 reach the same bytes by faster ways. All of it releases the interpreter lock.

Q8_0 by numpy gives the bits of ggml's `quantize_row_q8_0_ref` in a third of its time: ggml's loop
calls the C library to round each number. A block is 32 numbers: the float16 scale
d = max|x| / 127, then round(x / d) in 8 bits, halves away from zero. Invariant: every byte is
ggml's, or `q8_0` returns False and leaves the work to ggml.
"""

from __future__ import annotations

import ctypes
import importlib.util
import math
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGML_QUANT_SIZES
from gguf import GGMLQuantizationType as Q
from numpy.typing import NDArray

from workbench.core.errors import RunFailed
from workbench.pipeline.export.safetensors_reader import Float32

BLOCK = 32
BLOCK_BYTES = 34
PIECE_BLOCKS = 4096  # at once: what they go through fits a core's cache
_SMALLEST = np.float32(1e-30)  # of a block's largest: far from where 2 / d has no float32
_LARGEST = np.float32(127 * 65504)  # far below where d has no float16


def q8_0(rows: Float32, target: NDArray[np.uint8]) -> bool:
    """Write the blocks of finite, contiguous `rows` to `target`, or return False.

    The last says that a block is so near to zero, or so large, that ggml's arithmetic overflows.
    """
    values, blocks = rows.reshape(-1), target.reshape(-1, BLOCK_BYTES)
    for first in range(0, len(blocks), PIECE_BLOCKS):
        end = first + PIECE_BLOCKS
        if not _encoded(values[first * BLOCK : end * BLOCK], blocks[first:end]):
            return False
    return True


def _encoded(values: Float32, blocks: NDArray[np.uint8]) -> bool:
    largest = _largest_of_blocks(values)
    zero = largest == 0
    if not np.all(zero | (largest >= _SMALLEST) & (largest < _LARGEST)):
        return False
    scale = largest / np.float32(127)
    blocks[:, :2] = scale.astype("<f2").view(np.uint8).reshape(-1, 2)
    scale[zero] = np.inf
    doubled = np.repeat(np.float32(2) / scale, BLOCK)  # twice 1 / d, and a doubling is exact
    doubled *= values
    blocks[:, 2:].view(np.int8)[:] = _halved(doubled.astype(np.int16)).reshape(-1, BLOCK)
    return True


def _largest_of_blocks(values: Float32) -> Float32:
    """The largest magnitude of every 32 values in a row.

    Each step over all values doubles the reach of the one before; numpy's own maximum of so short
    rows takes four times as long.
    """
    one = np.abs(values)
    two = np.maximum(one[:-1], one[1:])
    four = np.maximum(two[:-2], two[2:])[::4]
    eight = np.maximum(four[::2], four[1::2])
    sixteen = np.maximum(eight[::2], eight[1::2])
    return np.maximum(sixteen[::2], sixteen[1::2])


def _halved(doubled: NDArray[np.int16]) -> NDArray[np.int16]:
    """Half of each, halves away from zero: x rounded, where 2 x was cut to a whole number."""
    doubled -= ~(doubled >> 15)  # one more, but for what is below zero
    doubled >>= 1
    return doubled


LARGEST_F16 = 65504.0
_NAMES = {
    "linux": ("libggml-base.so",),
    "darwin": ("libggml-base.dylib", "libggml-base.so"),
    "win32": ("ggml-base.dll", "libggml-base.dll"),
}


def encode(rows: Float32, form: Any) -> NDArray[np.uint8]:
    """The bytes of finite `rows` (n, columns) in the format, shape (n, bytes of a row)."""
    encoded = np.empty((len(rows), row_bytes(form, rows.shape[1])), np.uint8)
    encode_into(encoded, rows, form)
    return encoded


def row_bytes(form: Any, columns: int) -> int:
    """Bytes of a row in the format."""
    elements, block_bytes = (int(size) for size in GGML_QUANT_SIZES[form])
    assert columns % elements == 0, "the plan gave a format that does not fit"
    return columns // elements * block_bytes


def encode_into(target: NDArray[np.uint8], rows: Float32, form: Any) -> None:
    """`encode` into an array that is there, whose rows lie one after the other."""
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    if form == Q.F32:
        target[:] = rows.view(np.uint8).reshape(len(rows), -1)
    elif form == Q.F16 and _half():
        _half()(rows.ctypes.data, target.ctypes.data, rows.size)
    elif form != Q.Q8_0 or not q8_0(rows, target):
        n, columns = rows.shape
        source, there = rows.ctypes.data, target.ctypes.data
        written = _ggml().ggml_quantize_chunk(int(form), source, there, 0, n, columns, None)
        assert written == target.nbytes, (form, written, target.nbytes)


def largest(rows: Float32, name: str) -> float:
    """The largest magnitude. Raises RunFailed for what is no number: no format holds it."""
    if not rows.size:
        return 0.0
    low, high = float(rows.min()), float(rows.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RunFailed(f"{name} holds a value that is not a number: the training diverged")
    return max(-low, high)


def check_finite(rows: Float32, name: str) -> None:
    """Raise RunFailed for a weight that is no number."""
    largest(rows, name)


def check_range(magnitude: float, form: Any, name: str) -> None:
    """Raise RunFailed for a weight that is beyond what the format can hold."""
    if form == Q.F16 and magnitude > LARGEST_F16:
        hint = "export bf16 or f32 instead"
        raise RunFailed(f"{name} holds {magnitude:.4g}, beyond the range of f16 ({hint})")


@cache
def _half() -> Any:
    """ggml's float32 to float16 by the processor's own instructions, None where it has none.

    The same bits as ggml's plain loop, twenty times as fast.
    """
    path = library_path()
    try:
        convert = ctypes.CDLL(str(path.with_name(path.name.replace("base", "cpu"))))
        half = convert.ggml_cpu_fp32_to_fp16
    except (OSError, AttributeError):
        return None
    half.restype = None
    half.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    return half


@cache
def _ggml() -> Any:
    library = ctypes.CDLL(str(library_path()))
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [
        ctypes.c_int,  # enum ggml_type
        ctypes.c_void_p,  # const float * src
        ctypes.c_void_p,  # void * dst
        ctypes.c_int64,  # first element
        ctypes.c_int64,  # rows
        ctypes.c_int64,  # elements of a row
        ctypes.c_void_p,  # importance matrix, none
    ]
    return library


def library_path() -> Path:
    """Where ggml's base library lies. Raises RunFailed when llama-cpp-python does not bring it."""
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or spec.origin is None:
        raise RunFailed("llama-cpp-python is not installed (pip install llama-cpp-python)")
    folder = Path(spec.origin).parent / "lib"
    for name in _NAMES.get(sys.platform, _NAMES["linux"]):
        if (folder / name).is_file():
            return folder / name
    raise RunFailed(f"{folder}: the ggml library is missing (reinstall llama-cpp-python)")
