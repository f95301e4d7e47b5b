"""The pass over the base: each slab of rows is read and merged once and encoded for every file.

Invariants: memory holds about one slab, whatever the model's size; the arithmetic is float32, the
merge comes before the permutation and that before 1 + w; all files appear together at the end, or
none does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench import files
from workbench.errors import Interrupted, RunFailed
from workbench.pipeline.export.arch.parts import Piece
from workbench.pipeline.export.encode import Encoder, check_finite, encoder
from workbench.pipeline.export.gguf_file import GgufFile
from workbench.pipeline.export.merged_weights import MergedTensor
from workbench.pipeline.export.plan import ExportPlan, TensorPlan
from workbench.pipeline.export.shards import Float32
from workbench.pipeline.export.types import n_bytes, type_named

SLAB_BYTES = 16 << 20  # of float32; larger gains nothing, the formats' arrays come on top


@dataclass(frozen=True)
class TensorDone:
    """One tensor is in all files. Bytes are those written, over all files."""

    name: str
    done: int
    total: int
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True)
class ExportedFile:
    """A whole GGUF file. `fallbacks`: how many tensors could not have their type's format; where
    the plan could not know them, `told` has a line for each."""

    type: str
    path: Path
    bytes: int
    sha256: str
    fallbacks: int
    told: tuple[str, ...] = ()


def _never() -> bool:
    return False


def _ignore(done: TensorDone) -> None:
    pass


def run_export(
    plan: ExportPlan,
    out: Mapping[str, Path],
    *,
    progress: Callable[[TensorDone], None] = _ignore,
    stopping: Callable[[], bool] = _never,
    threads: int | None = None,
) -> list[ExportedFile]:
    """Write the file of every type in `out` (type -> path) in one pass; existing ones are replaced.

    Raises RunFailed when the disk is too small or a weight cannot be written, Interrupted when
    `stopping()` says so; OSError passes through. Whatever is raised, no file and no part is left.
    """
    paths = {type_named(name): path for name, path in out.items()}
    assert set(paths) == set(plan.types), "one path for each type of the plan"
    for folder in {path.parent for path in paths.values()}:
        files.check_space(folder, plan.total_bytes(), "the export")
    published = list[GgufFile]()
    with ExitStack() as stack:
        encode = stack.enter_context(encoder(threads))
        targets = list[GgufFile]()
        for kind in plan.types:
            targets.append(GgufFile(plan, kind, paths[kind]))
            stack.callback(targets[-1].discard)
        _write_all(plan, targets, encode, progress, stopping)
        for target in targets:
            target.finish()
        try:
            for target in targets:
                target.publish()
                published.append(target)
        except BaseException:
            for target in published:
                target.path.unlink(missing_ok=True)
            raise
    for folder in {path.parent for path in paths.values()}:
        files.fsync_folder(folder)
    return [_exported(plan, target) for target in targets]


def _write_all(
    plan: ExportPlan,
    targets: list[GgufFile],
    encode: Encoder,
    progress: Callable[[TensorDone], None],
    stopping: Callable[[], bool],
) -> None:
    total, done_bytes = sum(plan.tensor_bytes(kind) for kind in plan.types), 0
    for i, tensor in enumerate(plan.tensors):
        for rows in slabs(plan, tensor):
            if stopping():
                raise Interrupted("the export was stopped; nothing of it is left")
            check_finite(rows, tensor.source or tensor.name)
            for target, form in zip(targets, tensor.formats, strict=True):
                encoded = encode.encode(rows, form, tensor.source or tensor.name)
                target.write(encoded)
        for target, form in zip(targets, tensor.formats, strict=True):
            target.end_tensor()
            done_bytes += n_bytes(form, tensor.shape)
        progress(TensorDone(tensor.name, i + 1, len(plan.tensors), done_bytes, total))


def slabs(plan: ExportPlan, tensor: TensorPlan) -> Iterator[Float32]:
    """The tensor's final rows in float32, a slab at a time, each of shape (rows, columns)."""
    if tensor.constant is not None:
        yield tensor.constant.reshape(-1, tensor.columns)
        return
    step = _slab_rows(tensor)
    opened = plan.merged.open(tensor.source)
    for piece in tensor.pieces:
        if piece.source != opened.name:
            opened = plan.merged.open(piece.source)
        for rows in _piece_rows(opened, piece, step):
            if tensor.heads:
                rows = in_pairs(rows, tensor.shape[0] // tensor.heads)
            yield rows + np.float32(1) if tensor.add_one else rows


def _piece_rows(opened: MergedTensor, piece: Piece, step: int) -> Iterator[Float32]:
    if piece.transposed:
        yield np.ascontiguousarray(opened.rows(piece.first, piece.end).T)
        return
    for first in range(piece.first, piece.end, step):
        yield opened.rows(first, min(piece.end, first + step))


def _slab_rows(tensor: TensorPlan) -> int:
    """Rows of a slab; whole heads where rows are permuted within heads."""
    step = max(1, SLAB_BYTES // 4 // tensor.columns)
    if tensor.heads:
        head_rows = tensor.shape[0] // tensor.heads
        step = max(head_rows, step // head_rows * head_rows)
    return step


def in_pairs(rows: Float32, head_rows: int) -> Float32:
    """Within each head, row i of the first half and row i of the second become neighbours."""
    columns = rows.shape[1]
    halves = rows.reshape(-1, 2, head_rows // 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(-1, columns)


def _exported(plan: ExportPlan, target: GgufFile) -> ExportedFile:
    fallbacks = sum(fallback.type == target.kind.name for fallback in plan.fallbacks)
    if target.path.stat().st_size != target.bytes:
        raise RunFailed(f"{target.path}: the file changed while it was written")
    return ExportedFile(target.kind.name, target.path, target.bytes, target.sha256, fallbacks)
