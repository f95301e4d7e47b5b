"""float32 rows to GGUF's number formats, by the ggml library that llama-cpp-python brings along.

`ggml_quantize_chunk` (ggml.h) is what llama-quantize calls too, so the bytes are the same. It
works on rows and lets go of the interpreter lock: a slab is shared out among threads.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGML_QUANT_SIZES
from gguf import GGMLQuantizationType as Q
from numpy.typing import NDArray

from workbench.errors import RunFailed
from workbench.pipeline.export.shards import Float32

LARGEST_F16 = 65504.0
_NAMES = {
    "linux": ("libggml-base.so",),
    "darwin": ("libggml-base.dylib", "libggml-base.so"),
    "win32": ("ggml-base.dll", "libggml-base.dll"),
}


class Encoder:
    """Encodes rows with `threads` threads. Values beyond a format's range raise RunFailed."""

    def __init__(self, pool: ThreadPoolExecutor, threads: int) -> None:
        self._pool, self._threads = pool, threads

    def encode(self, rows: Float32, form: Any, name: str) -> NDArray[np.uint8]:
        """The bytes of `rows` (n, columns) in the format, shape (n, bytes of a row)."""
        rows = np.ascontiguousarray(rows, dtype=np.float32)
        if form == Q.F32:
            return rows.view(np.uint8).reshape(len(rows), -1)
        if form == Q.F16:
            _check_f16(rows, name)
        n, columns = rows.shape
        elements, block_bytes = GGML_QUANT_SIZES[form]
        assert columns % int(elements) == 0, "the plan gave a format that does not fit"
        encoded = np.empty((n, columns // int(elements) * int(block_bytes)), np.uint8)
        cuts = [n * i // self._threads for i in range(self._threads + 1)]
        jobs = [(rows[a:b], encoded[a:b]) for a, b in zip(cuts, cuts[1:], strict=False) if b > a]
        list(self._pool.map(lambda job: _quantize(form, *job), jobs))
        return encoded


@contextmanager
def encoder(threads: int | None = None) -> Iterator[Encoder]:
    """An Encoder; `threads` None takes every core that this process may use."""
    n = threads or usable_cores()
    with ThreadPoolExecutor(n, thread_name_prefix="encode") as pool:
        yield Encoder(pool, n)


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_finite(rows: Float32, name: str) -> None:
    """Raise RunFailed for a weight that is no number: no format has a place for it."""
    if not np.isfinite(rows).all():
        raise RunFailed(f"{name} holds a value that is not a number: the training diverged")


def _check_f16(rows: Float32, name: str) -> None:
    largest = float(np.abs(rows).max(initial=0.0))
    if largest > LARGEST_F16:
        hint = "export bf16 or f32 instead"
        raise RunFailed(f"{name} holds {largest:.4g}, beyond the range of f16 ({hint})")


def _quantize(form: Any, rows: Float32, encoded: NDArray[np.uint8]) -> None:
    n, columns = rows.shape
    written = _ggml().ggml_quantize_chunk(
        int(form), rows.ctypes.data, encoded.ctypes.data, 0, n, columns, None
    )
    assert written == encoded.nbytes, (form, written, encoded.nbytes)


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
    raise RunFailed(f"{folder}: no ggml library here (reinstall llama-cpp-python)")
