"""Read a GGUF's header with bounds on everything, before native code sees the file.

llama.cpp trusts what it loads: a wrong count can make it allocate without end or abort the whole
process. Here every count, length and offset is checked against the file's size before it is used,
so a hostile or cut file costs one line and little memory. Format: GGUF versions 2 and 3,
little-endian (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).

What is not covered: whether the numbers in the tensors make sense.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.core.errors import UserError
from workbench.core.text import one_line, size

MAGIC = b"GGUF"
MIN_BYTES = 24
MAX_KEYS = 10_000
MAX_TENSORS = 100_000
MAX_KEY_BYTES = 65_535
MAX_TENSOR_NAME_BYTES = 63  # GGML_MAX_NAME less its final zero
MAX_ARRAY_ITEMS = 10_000_000
MAX_TENSOR_ITEMS = 1 << 48

# value type -> struct format; 8 is a string, 9 an array
SCALARS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
_LENGTH = struct.Struct("<Q")

# ggml type -> bytes of one block, by the items that a block holds; from ggml.c's type traits
_BLOCK_BYTES = {
    1: {0: 4, 1: 2, 24: 1, 25: 2, 26: 4, 27: 8, 28: 8, 30: 2},
    32: {2: 18, 3: 20, 6: 22, 7: 24, 8: 34, 20: 18, 39: 17},
    64: {40: 36},
    128: {41: 18},
    256: {10: 84, 11: 110, 12: 144, 13: 176, 14: 210, 15: 292, 16: 66, 17: 74, 18: 98, 19: 50}
    | {21: 110, 22: 82, 23: 136, 29: 56, 34: 54, 35: 66},
}
BLOCKS = {
    kind: (items, n_bytes)
    for items, table in _BLOCK_BYTES.items()
    for kind, n_bytes in table.items()
}


@dataclass(frozen=True)
class Tensor:
    """A tensor as the header tells it; `shape` has the fastest dimension first.

    Its bytes begin `offset` after the header's `data_start`.
    """

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int
    n_bytes: int


@dataclass(frozen=True)
class Header:
    """All metadata (arrays as lists, strings as bytes decoded) and tensors of a GGUF.

    `data_start`: where in the file the tensors' data begins, in bytes.
    """

    version: int
    metadata: dict[str, Any]
    tensors: tuple[Tensor, ...]
    data_start: int

    @property
    def n_parameters(self) -> int:
        return sum(_product(tensor.shape) for tensor in self.tensors)


def read_header(path: Path) -> Header:
    """The header of the GGUF at `path`. Raises UserError for what is not whole and in bounds."""
    if not path.is_file():  # before opening: a named pipe would wait for a writer
        raise UserError("file not found" if not path.exists() else "not a file", path=path)
    try:
        with open(path, "rb") as file:
            if file.seek(0, 2) < MIN_BYTES:
                raise UserError("not a GGUF file: too short", path=path)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Reader(path, data, len(data)).header()
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", path=path) from error


class _Reader:
    """A cursor over the bytes that never moves beyond their end."""

    def __init__(self, path: Path, data: mmap.mmap, end: int) -> None:
        self.path, self.data, self.end, self.at = path, data, end, 0

    def fault(self, message: str) -> UserError:
        return UserError(f"not a valid GGUF file: {message}", path=self.path)

    def _cut(self) -> UserError:
        return self.fault(f"it ends inside its header, after {size(self.end)}")

    def header(self) -> Header:
        version, n_tensors, n_keys = self._preamble()
        metadata: dict[str, Any] = {}
        for _ in range(n_keys):
            key = self.string("key", MAX_KEY_BYTES)
            if key in metadata:
                raise self.fault(f"the key {one_line(key, 60)!r} appears twice")
            metadata[key] = self.value(self.scalar("I"), key)
        infos = [self._tensor_info() for _ in range(n_tensors)]
        start = self._place(infos, metadata.get("general.alignment", 32))
        return Header(version, metadata, tuple(infos), start)

    def _preamble(self) -> tuple[int, int, int]:
        if self.take(4) != MAGIC:
            raise UserError("not a GGUF file", path=self.path)
        version = self.scalar("I")
        if version not in (2, 3):
            hint = "big-endian files are not supported" if version in (2 << 24, 3 << 24) else ""
            raise UserError(f"GGUF version {version} is not 2 or 3", path=self.path, hint=hint)
        n_tensors, n_keys = self.scalar("Q"), self.scalar("Q")
        if n_tensors > MAX_TENSORS or n_keys > MAX_KEYS:
            raise self.fault(f"{n_tensors:,} tensors and {n_keys:,} keys are too many")
        return version, n_tensors, n_keys

    def take(self, n: int) -> bytes:
        if n > self.end - self.at:
            raise self._cut()
        raw = self.data[self.at : self.at + n]
        self.at += n
        return raw

    def scalar(self, kind: str) -> Any:
        (value,) = struct.unpack(f"<{kind}", self.take(struct.calcsize(f"<{kind}")))
        return value

    def string(self, what: str, max_bytes: int | None = None) -> str:
        n = self.scalar("Q")
        if max_bytes is not None and n > max_bytes:
            raise self.fault(f"a {what} of {n:,} bytes")
        return self.take(n).decode(errors="replace")

    def _strings(self, n: int) -> list[str]:
        """`n` strings; a vocabulary has hundreds of thousands, so the loop is a tight one."""
        data, at, end, length = self.data, self.at, self.end, _LENGTH.unpack_from
        found: list[str] = []
        for _ in range(n):
            start = at + _LENGTH.size
            at = start + length(data, at)[0] if start <= end else end + 1
            if at > end:
                raise self._cut()
            # Escaped, not replaced: two tokens of different bytes must stay different texts.
            found.append(data[start:at].decode(errors="surrogateescape"))
        self.at = at
        return found

    def value(self, kind: int, key: str) -> Any:
        if kind in SCALARS:
            return self.scalar(SCALARS[kind])
        if kind == STRING:
            return self.string(f"value of {key}")
        if kind == ARRAY:
            return self._array(key)
        raise self.fault(f"{one_line(key, 60)} has unknown type {kind}")

    def _array(self, key: str) -> list[Any]:
        kind, n = self.scalar("I"), self.scalar("Q")
        if n > MAX_ARRAY_ITEMS:
            raise self.fault(f"{one_line(key, 60)} has {n:,} items")
        if kind == STRING:
            return self._strings(n)
        if kind not in SCALARS:
            raise self.fault(f"{one_line(key, 60)} is an array of unknown type {kind}")
        code = f"<{n}{SCALARS[kind]}"
        return list(struct.unpack(code, self.take(struct.calcsize(code))))

    def _tensor_info(self) -> Tensor:
        name = self.string("tensor name", MAX_TENSOR_NAME_BYTES)
        n_dimensions = self.scalar("I")
        if not 1 <= n_dimensions <= 4:
            raise self.fault(f"tensor {one_line(name)} has {n_dimensions} dimensions")
        shape = tuple(self.scalar("Q") for _ in range(n_dimensions))
        kind, offset = self.scalar("I"), self.scalar("Q")
        return Tensor(name, shape, kind, offset, self._bytes_of(name, shape, kind))

    def _bytes_of(self, name: str, shape: tuple[int, ...], kind: int) -> int:
        if kind not in BLOCKS:
            raise self.fault(f"tensor {one_line(name)} has unknown type {kind}")
        items, block_bytes = BLOCKS[kind]
        if min(shape) < 1 or max(shape) > MAX_TENSOR_ITEMS or _product(shape) > MAX_TENSOR_ITEMS:
            raise self.fault(f"tensor {one_line(name)} has invalid shape {shape}")
        if shape[0] % items:
            raise self.fault(
                f"tensor {one_line(name)} has row length {shape[0]}, not a multiple of {items}"
            )
        return _product(shape) // items * block_bytes

    def _place(self, tensors: list[Tensor], alignment: Any) -> int:
        """Where the tensors' data begins; checked to lie in the file, one after the other."""
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise self.fault(f"invalid alignment {alignment!r}")
        if len({tensor.name for tensor in tensors}) != len(tensors):
            raise self.fault("two tensors have the same name")
        start = -(-self.at // alignment) * alignment
        expected = 0
        for tensor in tensors:
            if tensor.offset != expected:
                raise self.fault(f"tensor {one_line(tensor.name)} has an unexpected offset")
            expected += -(-tensor.n_bytes // alignment) * alignment
            if start + tensor.offset + tensor.n_bytes > self.end:
                missing = start + tensor.offset + tensor.n_bytes - self.end
                where = f"tensor {one_line(tensor.name)} is missing {size(missing)}"
                raise self.fault(f"it is truncated: {where}")
        return start


def _product(shape: tuple[int, ...]) -> int:
    product = 1
    for n in shape:
        product *= n
    return product
