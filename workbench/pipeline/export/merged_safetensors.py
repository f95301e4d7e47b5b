"""The merged model as safetensors, for tools that read no GGUF: a folder for `from_pretrained`.

Each tensor keeps the number format that the base stores it in. Written a slab at a time; shards
stay below 5 GB, as the hub wants them. The folder appears whole, with a manifest, or not at all.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.core import files
from workbench.core.errors import Interrupted, RunFailed
from workbench.pipeline.export.merged_weights import MergedWeights
from workbench.pipeline.export.plan import ExportPlan
from workbench.pipeline.export.row_chunks import SLAB_BYTES
from workbench.pipeline.export.safetensors_reader import Float32
from workbench.pipeline.export.streaming import TensorDone
from workbench.pipeline.export.tensor_encoding import check_finite
from workbench.pipeline.export.unused import without_prediction
from workbench.pipeline.models.serving_files import GENERATION, copy_serving_files, with_stops
from workbench.tokenization.named_templates import DEFAULT, write_templates

SHARD_BYTES = 5_000_000_000
BESIDE_BYTES = 64 << 20
_ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}


@dataclass(frozen=True)
class _Entry:
    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * _ITEM_BYTES[self.dtype]


def merged_bytes(plan: ExportPlan) -> int:
    """Bytes that the folder will have, tokenizer and headers estimated."""
    return sum(entry.bytes for entry in _entries(plan)) + BESIDE_BYTES


def _entries(plan: ExportPlan) -> list[_Entry]:
    merged = plan.merged
    return [_Entry(name, merged.stored_dtype(name), merged.shape(name)) for name in merged.names]


def write_merged(
    plan: ExportPlan,
    folder: Path,
    *,
    progress: Callable[[TensorDone], None] = lambda done: None,
    should_stop: Callable[[], bool] = lambda: False,
    card: str = "",
    shard_bytes: int = SHARD_BYTES,
) -> int:
    """Write the model of `plan` into `folder` and return its bytes.

    Weights, config.json, the tokenizer, its chat templates and generation settings (the base's own
    where the tokenizer's folder has none), and `card` as README.md.
    Raises RunFailed, Interrupted or OSError; nothing is left then.
    """
    merged, entries = plan.merged, _entries(plan)
    total = sum(entry.bytes for entry in entries)
    files.check_space(folder.parent, merged_bytes(plan), "the merged model")
    shards = list(_shards(entries, shard_bytes))
    try:
        with files.whole_folder(folder) as tmp:
            report = _Report(len(entries), total, progress)
            for i, shard in enumerate(shards):
                path = tmp / _shard_name(i, len(shards))
                _write_shard(path, shard, merged, report, should_stop)
            if len(shards) > 1:
                _write_index(tmp, shards, total)
            _write_beside(tmp, plan)
            if card:
                files.write_atomic(tmp / "README.md", card)
    except BaseException:
        files.remove_folder(folder.with_name(f"tmp-{folder.name}"))
        raise
    return sum(path.stat().st_size for path in folder.iterdir())


@dataclass
class _Report:
    tensors: int
    total_bytes: int
    progress: Callable[[TensorDone], None]
    done: int = 0
    done_bytes: int = 0

    def tensor(self, entry: _Entry) -> None:
        self.done += 1
        self.done_bytes += entry.bytes
        self.progress(
            TensorDone(entry.name, self.done, self.tensors, self.done_bytes, self.total_bytes)
        )


def _shards(entries: Sequence[_Entry], limit: int) -> Iterator[list[_Entry]]:
    """The entries in order, in lists of at most `limit` bytes (one entry at least)."""
    shard, size = list[_Entry](), 0
    for entry in entries:
        if shard and size + entry.bytes > limit:
            yield shard
            shard, size = [], 0
        shard.append(entry)
        size += entry.bytes
    yield shard


def _shard_name(i: int, count: int) -> str:
    return "model.safetensors" if count == 1 else f"model-{i + 1:05}-of-{count:05}.safetensors"


def _write_shard(
    path: Path,
    entries: Sequence[_Entry],
    merged: MergedWeights,
    report: _Report,
    should_stop: Callable[[], bool],
) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    fd = os.open(path, flags, 0o644)
    try:
        files.write_all(fd, _header(entries))
        for entry in entries:
            for data in _encoded(entry, merged, should_stop):
                files.write_all(fd, data)
            report.tensor(entry)
    finally:
        os.close(fd)


def _header(entries: Sequence[_Entry]) -> bytes:
    """Length and JSON, padded so that the data begins at a multiple of eight."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for entry in entries:
        ends = [offset, offset + entry.bytes]
        header[entry.name] = {
            "dtype": entry.dtype,
            "shape": list(entry.shape),
            "data_offsets": ends,
        }
        offset = ends[1]
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _encoded(
    entry: _Entry, merged: MergedWeights, should_stop: Callable[[], bool]
) -> Iterator[bytes]:
    tensor = merged.open(entry.name)
    columns = math.prod(entry.shape[1:])
    step = max(1, SLAB_BYTES // 4 // columns)
    for first in range(0, entry.shape[0], step):
        if should_stop():
            raise Interrupted("the export was stopped; partial files were removed")
        rows = tensor.rows(first, min(entry.shape[0], first + step))
        check_finite(rows, entry.name)
        yield _as_stored(rows, entry).tobytes()


def _as_stored(rows: Float32, entry: _Entry) -> NDArray[Any]:
    if entry.dtype == "BF16":
        return _bfloat16(rows)
    if entry.dtype == "F16" and float(np.abs(rows).max(initial=0.0)) > 65504:
        raise RunFailed(f"{entry.name} exceeds the range of f16, the data type of the base model")
    return rows.astype({"F64": "<f8", "F32": "<f4", "F16": "<f2"}[entry.dtype])


def _bfloat16(rows: Float32) -> NDArray[np.uint16]:
    """The upper half of each float32, rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(rows).view(np.uint32)
    half = ((bits >> 16) & 1) + np.uint32(0x7FFF)
    return ((bits + half) >> 16).astype("<u2")


def _write_index(folder: Path, shards: Sequence[Sequence[_Entry]], total: int) -> None:
    names = {
        entry.name: _shard_name(i, len(shards)) for i, shard in enumerate(shards) for entry in shard
    }
    index = {"metadata": {"total_size": total}, "weight_map": names}
    files.write_json(folder / "model.safetensors.index.json", index)


def _write_beside(folder: Path, plan: ExportPlan) -> None:
    base, serving = plan.weights.base, plan.tokenizer.folder
    config = without_prediction(with_stops(plan.config.values, plan.generation))
    config["vocab_size"] = plan.vocabulary_size
    config["tie_word_embeddings"] = plan.merged.tied
    files.write_json(folder / "config.json", config)
    if (base / GENERATION).is_file():
        shutil.copyfile(base / GENERATION, folder / GENERATION)
    copy_serving_files(serving, folder)
    if plan.chat_template:
        write_templates({DEFAULT: plan.chat_template, **plan.named_templates}, folder)
