"""A folder of safetensors files, read a few rows at a time.

Format: 8 bytes little-endian header length, a JSON header (name -> dtype, shape, data_offsets),
then the tensors' bytes (https://github.com/huggingface/safetensors#format).
Invariant: every tensor in `tensors` was proved to lie whole inside its file before any is read, and
no more than the rows asked for is ever in memory. Quantized weights that can be dequantized are so
as they are read: whoever reads them sees plain ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workbench.bases.architecture import named_dtype, read_config
from workbench.bases.quantization import stored_quantization
from workbench.core.errors import UserError
from workbench.pipeline.export.packed import unpacked
from workbench.pipeline.export.stored import PLAIN, Float32, Stored, plain_bytes

__all__ = ["PLAIN", "Float32", "SafetensorsFolder"]

BASE = "model.safetensors"
MAX_HEADER_BYTES = 100 << 20


class SafetensorsFolder:
    """The tensors of one model or adapter folder, in one file or, where that is not here, in many.

    Raises UserError when a file is missing, cut short or has a header that cannot be true.
    """

    def __init__(self, folder: Path, name: str = BASE) -> None:
        self.folder = folder
        self.tensors: dict[str, Stored] = {}
        index = folder / f"{name}.index.json"
        split = index.is_file() and not (folder / name).is_file()
        listed = _weight_map(index) if split else {}
        for file in sorted(set(listed.values())) or [name]:
            self.tensors |= _read_header(folder / file)
        missing = sorted(set(listed) - set(self.tensors))
        if missing:
            raise UserError(f"lists tensor {missing[0]}, which no file contains", path=index)
        if name == BASE and (folder / "config.json").is_file():
            self._unpack(read_config(folder))

    def _unpack(self, config: Mapping[str, Any]) -> None:
        quantization = stored_quantization(config)
        if quantization and quantization.dequantizes:
            self.tensors = unpacked(self.tensors, quantization, named_dtype(config))

    def renamed(self, name: Callable[[str], str]) -> SafetensorsFolder:
        """The same files under other names; what gets an empty one is left out."""
        self.tensors = {name(k): stored for k, stored in self.tensors.items() if name(k)}
        return self

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def shape(self, name: str) -> tuple[int, ...]:
        return self.tensors[name].shape

    def rows(self, name: str, first: int = 0, end: int | None = None) -> Float32:
        """Rows `[first, end)` as float32, shape (rows, elements of a row)."""
        return self.tensors[name].rows(first, end)

    def check_readable(self, name: str) -> None:
        """Raise UserError for a tensor in a number format that is not plain floating point."""
        stored = self.tensors[name]
        if stored.dtype not in PLAIN:
            hint = "use the full-precision base model (F32, F16, BF16)"
            message = f"{name} is stored as {stored.dtype}"
            raise UserError(message, path=stored.file, hint=hint)


def _weight_map(index: Path) -> dict[str, str]:
    try:
        listed = json.loads(index.read_bytes())["weight_map"]
    except (ValueError, KeyError, TypeError):
        raise UserError("not a safetensors index", path=index) from None
    for file in listed.values():
        if not isinstance(file, str) or Path(file).name != file:
            raise UserError(f"names a file outside its folder: {file!r}", path=index)
    return dict(listed)


def _read_header(path: Path) -> dict[str, Stored]:
    if not path.is_file():
        raise UserError("this file of the model is missing", path=path)
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, MAX_HEADER_BYTES):
            raise UserError("not a safetensors file, or truncated", path=path)
        try:
            header = json.loads(file.read(length))
            entries = {k: v for k, v in header.items() if k != "__metadata__"}
            return {k: _stored(path, size, 8 + length, k, v) for k, v in entries.items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UserError("the safetensors header is damaged", path=path) from None


def _stored(path: Path, size: int, start: int, name: str, entry: dict[str, Any]) -> Stored:
    first, end = (int(offset) for offset in entry["data_offsets"])
    shape = tuple(int(n) for n in entry["shape"])
    dtype = str(entry["dtype"])
    if start + end > size:
        raise UserError(f"the file is truncated: {name} is incomplete", path=path)
    if not 0 <= first <= end or any(n < 0 for n in shape):
        raise ValueError("negative size")
    expected = plain_bytes(dtype, shape)
    if expected is not None and expected != end - first:
        raise UserError(f"{name} has {end - first} bytes instead of {expected}", path=path)
    return Stored(path, start + first, dtype, shape)
