"""The pass over the base: each chunk of rows is read and merged once and encoded for every file.

Threads read, merge, encode and write chunks (work that releases the interpreter lock) while the
caller hashes, in order, what is written. Invariants: memory holds a few chunks, whatever the
model's size; all files appear together at the end, or none does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from workbench.core import files
from workbench.core.errors import Interrupted, RunFailed
from workbench.core.runtime import usable_cores
from workbench.pipeline.export.gguf_writer import GgufFile
from workbench.pipeline.export.plan import ExportPlan, TensorPlan
from workbench.pipeline.export.row_chunks import RowChunk, row_chunks
from workbench.pipeline.export.safetensors_reader import Float32
from workbench.pipeline.export.tensor_encoding import check_range, encode_into, largest, row_bytes
from workbench.pipeline.export.tensor_types import n_bytes, type_named

WAITING = 4
LARGEST_KEPT_BYTES = (32 << 20) - (64 << 10)
Job = TypeVar("Job")
Done = TypeVar("Done")


def ordered_map(
    work: Callable[[Job], Done], jobs: Iterable[Job], threads: int
) -> Generator[Done, None, None]:
    """`work(job)` of every job, in the jobs' order, computed by `threads` threads.

    At most `WAITING` more jobs than threads are under way or wait for the caller: so few that
    memory stays bounded, enough that no thread sleeps while the caller is at one result. What a job
    raises is raised here, in its turn; nothing runs on afterwards. BLAS keeps to the thread that
    calls it meanwhile.
    """
    under_way = deque[Future[Done]]()
    _keep_freed_memory()
    with threadpool_limits(1), ThreadPoolExecutor(threads, thread_name_prefix="ahead") as pool:
        try:
            for job in jobs:
                under_way.append(pool.submit(work, job))
                if len(under_way) >= threads + WAITING:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()


def _keep_freed_memory() -> None:
    """Have glibc reuse the memory of arrays instead of giving it back and asking for it again.

    It keeps freed blocks up to the size of the largest one that it has seen freed, 32 MiB at most;
    without this the system clears every slab's pages anew, which costs more than the arithmetic.
    """
    np.empty(LARGEST_KEPT_BYTES, np.uint8)


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
    should_stop: Callable[[], bool] = _never,
    threads: int | None = None,
) -> list[ExportedFile]:
    """Write the file of every type in `out` (type -> path) in one pass; existing ones are replaced.

    Raises RunFailed when the disk is too small or a weight cannot be written, Interrupted when
    `should_stop()` is true; OSError passes through. Whatever is raised, no file and no part is
    left.
    """
    paths = {type_named(name): path for name, path in out.items()}
    assert set(paths) == set(plan.types), "one path for each type of the plan"
    for folder in {path.parent for path in paths.values()}:
        files.check_space(folder, plan.total_bytes(), "the export")
    published = list[GgufFile]()
    with ExitStack() as stack:
        targets = list[GgufFile]()
        for kind in plan.types:
            targets.append(GgufFile(plan, kind, paths[kind]))
            stack.callback(targets[-1].discard)
        _write_all(plan, targets, threads or usable_cores(), progress, should_stop)
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


@dataclass(frozen=True)
class _Encoded:
    """A slab in the formats of all files."""

    tensor: TensorPlan
    data: list[NDArray[np.uint8]]


def _written(slab: RowChunk, targets: list[GgufFile]) -> _Encoded:
    """The slab, encoded and in all files."""
    tensor, first = slab.tensor, 0
    sizes = [(slab.n_rows, row_bytes(form, tensor.columns)) for form in tensor.formats]
    data = [np.empty(size, np.uint8) for size in sizes]
    for rows in slab.blocks():
        _check(rows, tensor)
        for target, form, whole in zip(targets, tensor.formats, data, strict=True):
            part = whole[first : first + len(rows)]
            encode_into(part, rows, form)
            target.write(tensor.name, slab.row + first, part)
        first += len(rows)
    return _Encoded(tensor, data)


def _check(rows: Float32, tensor: TensorPlan) -> None:
    name = tensor.source or tensor.name
    magnitude = largest(rows, name)
    for form in tensor.formats:
        check_range(magnitude, form, name)


def _write_all(
    plan: ExportPlan,
    targets: list[GgufFile],
    threads: int,
    progress: Callable[[TensorDone], None],
    should_stop: Callable[[], bool],
) -> None:
    total, done_bytes = sum(plan.tensor_bytes(kind) for kind in plan.types), 0
    work = partial(_written, targets=targets)
    with closing(ordered_map(work, row_chunks(plan), threads)) as results:
        by_tensor = groupby(results, key=lambda encoded: encoded.tensor.name)
        for i, (name, parts) in enumerate(by_tensor):
            for encoded in parts:
                if should_stop():
                    raise Interrupted("the export was stopped; partial files were removed")
                for target, data in zip(targets, encoded.data, strict=True):
                    target.take(data)
            tensor = plan.tensors[i]
            for target, form in zip(targets, tensor.formats, strict=True):
                target.end_tensor()
                done_bytes += n_bytes(form, tensor.shape)
            progress(TensorDone(name, i + 1, len(plan.tensors), done_bytes, total))


def _exported(plan: ExportPlan, target: GgufFile) -> ExportedFile:
    fallbacks = sum(fallback.type == target.kind.name for fallback in plan.fallbacks)
    if target.path.stat().st_size != target.bytes:
        raise RunFailed(f"{target.path}: the file changed while it was being written")
    return ExportedFile(target.kind.name, target.path, target.bytes, target.sha256, fallbacks)
