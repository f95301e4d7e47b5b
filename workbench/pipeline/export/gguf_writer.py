"""One GGUF file in progress: header first, visible only when it is complete.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
The `gguf` package writes the keys and the header, except the lists of a vocabulary: it needs
several calls for each of some hundred thousand entries, `_packed` one for them all. The bytes are
the same.

The header gives the offset of every tensor, so any thread may `write` any rows as soon as it has
them; `take` then sees the bytes in order, for the hash. A separate thread syncs to disk while more
is computed, so that the wait at the end is short. Invariant: until `publish` only a `.NAME.part`
exists; `discard` leaves nothing.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from workbench.core import files
from workbench.pipeline.export.gguf_keys import write_keys, write_named_templates, write_sampling
from workbench.pipeline.export.plan import ALIGNMENT, ExportPlan
from workbench.pipeline.export.tensor_types import GgufType, n_bytes
from workbench.pipeline.export.vocabulary import Vocabulary, model_name, write_vocabulary

_ARRAY = gguf.GGUFValueType.ARRAY
_NUMBERS = {int: "<i4", float: "<f4"}


class HeaderWriter(gguf.GGUFWriter):
    """gguf's writer, quick with long lists."""

    def _pack_val(self, val: Any, vtype: Any, add_vtype: bool, sub_type: Any = None) -> bytes:
        packed = _packed(val) if vtype == _ARRAY and sub_type is None else None
        if packed is None:
            return bytes(super()._pack_val(val, vtype, add_vtype, sub_type))
        item_type = gguf.GGUFValueType.get_type(val[0])
        start = struct.pack("<I", vtype) if add_vtype else b""
        return start + struct.pack("<IQ", item_type, len(val)) + packed


def _packed(values: Any) -> bytes | None:
    """The bytes of a list's items, None for what is no list of one plain type."""
    kinds = set(map(type, values)) if isinstance(values, list) else set()
    if len(kinds) == 1 and (number := _NUMBERS.get(next(iter(kinds)))):
        return np.array(values, number).tobytes()
    if not kinds or not kinds <= {str, bytes}:
        return None
    pieces = list[bytes]()
    for value in values:
        raw = value.encode() if isinstance(value, str) else value
        pieces += (len(raw).to_bytes(8, "little"), raw)
    return b"".join(pieces)


def write_header(plan: ExportPlan, kind: GgufType, path: Path) -> None:
    """Write everything before the tensors' bytes."""
    writer = HeaderWriter(None, plan.family.gguf_arch)
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(model_name(plan.name, plan.vocabulary))
    writer.add_file_type(int(kind.file_type))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    write_keys(plan.family, writer, plan.config, plan.vocabulary_size)
    write_vocabulary(writer, plan.vocabulary, plan.chat_template)
    write_named_templates(writer, plan.named_templates)
    write_sampling(writer, plan.generation)
    _add_tensors(writer, plan, plan.types.index(kind))
    _write(writer, path)


def write_vocabulary_file(vocabulary: Vocabulary, path: Path) -> None:
    """Write a file without tensors that llama.cpp opens for its vocabulary alone."""
    writer = HeaderWriter(None, gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.LLAMA])
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(model_name("vocabulary", vocabulary))
    write_vocabulary(writer, vocabulary, "")
    _write(writer, path)


def _write(writer: HeaderWriter, path: Path) -> None:
    try:
        writer.write_header_to_file(path)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
    finally:
        writer.close()


def _add_tensors(writer: Any, plan: ExportPlan, i: int) -> None:
    for tensor in plan.tensors:
        form = tensor.formats[i]
        size = n_bytes(form, tensor.shape)
        writer.add_tensor_info(
            tensor.name, tensor.shape, np.dtype(np.float32), size, raw_dtype=form
        )


FLUSH_BYTES = 64 << 20  # so much may wait for the disk before it is asked to take it


class GgufFile:
    """Writes `path` in one pass."""

    def __init__(self, plan: ExportPlan, kind: GgufType, path: Path) -> None:
        self.path, self.kind = path, kind
        self.part = path.with_name(f".{path.name}.part")
        self._flush = _Behind("flush")
        self._sha = hashlib.sha256()
        self._size = self._flushed = 0
        self._fd = -1
        try:
            write_header(plan, kind, self.part)
            self._take_header()
        except BaseException:
            self.discard()
            raise
        self._starts = _starts(plan, kind, self._size)

    def write(self, tensor: str, row: int, data: NDArray[np.uint8]) -> None:
        """Put encoded rows of a tensor, (rows, bytes of a row), to their place; in any thread."""
        start = self._starts[tensor] + row * data.shape[1]
        files.write_at(self._fd, data.data, start)  # type: ignore[arg-type]  # any buffer does

    def take(self, data: Any) -> None:
        """Hash what was written, and have the disk take it in. In the order of the file."""
        raw = memoryview(data).cast("B")
        self._sha.update(raw)
        self._size += len(raw)
        if self._size - self._flushed >= FLUSH_BYTES and self._flush.idle:
            self._flush.wait()
            self._flush.start(_to_disk, self._fd)
            self._flushed = self._size

    def end_tensor(self) -> None:
        """Pad to the alignment at which the next tensor begins."""
        self.take(bytes(-self._size % ALIGNMENT))

    def finish(self) -> None:
        """Force the bytes to disk and close; the file is still a `.part`."""
        self._flush.wait()
        os.truncate(self._fd, self._size)  # the last padding
        os.close(self._fd)
        self._fd = -1
        files.fsync_file(self.part)

    def publish(self) -> None:
        """Give the file its name."""
        files.rename(self.part, self.path)

    def discard(self) -> None:
        """Remove what was written. Calling it twice, or after `publish`, is fine."""
        self._flush.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self.part.unlink(missing_ok=True)

    @property
    def bytes(self) -> int:
        return self._size

    @property
    def sha256(self) -> str:
        return self._sha.hexdigest()

    def _take_header(self) -> None:
        header = self.part.read_bytes()
        self._sha.update(header)
        self._size = len(header)
        binary = getattr(os, "O_BINARY", 0)
        self._fd = os.open(self.part, os.O_WRONLY | binary)
        self.end_tensor()


def _starts(plan: ExportPlan, kind: GgufType, first: int) -> dict[str, int]:
    """Where each tensor begins, the first one at `first`."""
    starts, i = dict[str, int](), plan.types.index(kind)
    for tensor in plan.tensors:
        starts[tensor.name] = first
        size = n_bytes(tensor.formats[i], tensor.shape)
        first += -(-size // ALIGNMENT) * ALIGNMENT
    return starts


class _Behind:
    """One job at a time, done by a thread of its own while the caller goes on."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._job: Future[None] | None = None

    @property
    def idle(self) -> bool:
        return self._job is None or self._job.done()

    def start(self, work: Callable[[Any], None], on: Any) -> None:
        self._job = self._thread.submit(work, on)

    def wait(self) -> None:
        """Until the last job is done; raises what it raised."""
        if self._job:
            self._job.result()

    def close(self) -> None:
        self._thread.shutdown()


def _to_disk(fd: int) -> None:
    getattr(os, "fdatasync", os.fsync)(fd)  # macOS has the one alone
