"""All files of an export: which are written, from what, and a forecast of bytes, disk and time.

One pass over the weights writes some of them; llama.cpp makes the others of its F16. Invariant: an
F16 that nobody requested, needed as a reference or as a source, has a name that `files.sweep`
removes.

The forecast measures the cost per element of each format a moment before, on this machine with its
current load; the model's size gives the rest. The parity check is not included.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.core import files
from workbench.inference.quantization import (
    GgufFileType,
    Progress,
    estimated_bytes,
    kind_named,
    quantize,
)
from workbench.pipeline.export.merged_safetensors import merged_bytes
from workbench.pipeline.export.plan import ExportPlan
from workbench.pipeline.export.streaming import ExportedFile, TensorDone, run_export
from workbench.pipeline.export.tensor_encoding import encode
from workbench.pipeline.export.tensor_types import n_bytes, possible_format, type_named

REFERENCE_TYPE = "f16"
WRITE, QUANTIZE, COMPARE, MERGE = "write", "quantize to", "compare", "merge into safetensors"


@dataclass(frozen=True)
class RequestedTypes:
    """The types asked for, sorted by how they are made; names are lower case and distinct."""

    streamed: tuple[str, ...]
    quantized: tuple[GgufFileType, ...]
    parity: bool

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.streamed, *(kind.name for kind in self.quantized))

    @property
    def in_pass(self) -> tuple[str, ...]:
        """Types that the pass over the weights writes."""
        return (*self.streamed, REFERENCE_TYPE) if self._needs_twin else self.streamed

    @property
    def _needs_twin(self) -> bool:
        """A quantized file alone proves nothing, and llama.cpp makes its types of a float one."""
        if REFERENCE_TYPE in self.streamed or not self.names:
            return False
        proof = self.parity and all(type_named(name).quantized for name in self.streamed)
        return proof or bool(self.quantized)


@dataclass(frozen=True)
class ExportProgress:
    """How far an export is: what it does, `done` of `total` units, and the one at hand."""

    doing: str
    done: int
    total: int
    unit: str
    name: str


def requested_types(formats: Sequence[str], parity: bool) -> RequestedTypes:
    """The types of these names. Raises UserError for one that cannot be made."""
    kinds = list(dict.fromkeys(kind_named(name) for name in formats))
    streamed = tuple(kind.name for kind in kinds if kind.streamed)
    return RequestedTypes(streamed, tuple(kind for kind in kinds if not kind.streamed), parity)


def planned_bytes(plan: ExportPlan, wished: RequestedTypes) -> dict[str, int]:
    """Type -> bytes of its file; those of llama.cpp's own types are an estimate."""
    known = {kind.name: plan.file_bytes(kind) for kind in plan.types}
    made = {kind.name: estimated_bytes(kind, list(known.items())) for kind in wished.quantized}
    return {name: (known | made)[name] for name in wished.names}


def disk_bytes(plan: ExportPlan, wished: RequestedTypes, merged: bool) -> int:
    """What the disk has to take at once: all files, with an F16 twin and the merged model."""
    planned = planned_bytes(plan, wished)
    made = sum(planned[kind.name] for kind in wished.quantized)
    return plan.total_bytes() + made + (merged_bytes(plan) if merged else 0)


def check_space(plan: ExportPlan, wished: RequestedTypes, out: Path, merged: bool) -> None:
    """Raise RunFailed when the disk cannot take all of it at once."""
    files.check_space(out, disk_bytes(plan, wished, merged), "the export")


def make_files(
    plan: ExportPlan,
    wished: RequestedTypes,
    out: Path,
    *,
    doing: Callable[[ExportProgress], None],
    on_file: Callable[[ExportedFile, float], None],
    should_stop: Callable[[], bool],
    threads: int,
) -> list[ExportedFile]:
    """Write all files of the wish, and the F16 it may need; in the order they were made."""
    paths = {
        name: out / (f"{plan.name}-{name}.gguf" if name in wished.names else f".twin-{name}.part")
        for name in wished.in_pass
    }
    started = time.monotonic()
    made = run_export(
        plan,
        paths,
        progress=lambda at: doing(of_tensor(f"{WRITE} {' + '.join(wished.in_pass)}", at)),
        should_stop=should_stop,
        threads=threads,
    )
    for file in made:
        if file.type in wished.names:
            on_file(file, time.monotonic() - started)
    for kind in wished.quantized:
        started = time.monotonic()
        target = out / f"{plan.name}-{kind.name}.gguf"
        made.append(quantized(paths[REFERENCE_TYPE], target, kind, doing, should_stop, threads))
        on_file(made[-1], time.monotonic() - started)
    return made


def quantized(
    source: Path,
    target: Path,
    kind: GgufFileType,
    doing: Callable[[ExportProgress], None],
    should_stop: Callable[[], bool],
    threads: int,
) -> ExportedFile:
    """The file `target` that llama.cpp makes of a float one."""

    def progress(at: Progress) -> None:
        doing(ExportProgress(f"{QUANTIZE} {kind.name}", at.done, at.total, "tensors", at.tensor))

    made = quantize(
        source, target, kind, threads=threads, progress=progress, should_stop=should_stop
    )
    told = tuple(map(str, made.fallbacks))
    return ExportedFile(kind.name, target, made.bytes, files.sha256(target), len(told), told)


def of_tensor(doing: str, at: TensorDone) -> ExportProgress:
    """The progress of the pass over the base as `ExportProgress`."""
    return ExportProgress(doing, at.done, at.total, "tensors", at.name)


SAMPLE_SHAPE = (32, 2048)
TRIES = 2  # the quicker one counts: the first also loads the library
BYTE_S = 2e-9  # of a written byte: hashed, copied into the system's memory
MERGE_S = 2e-9  # of an element: read, merged, looked through
SLOWEST_OURS = "q4_k_m"  # what a type of llama.cpp's own is taken to cost


@dataclass(frozen=True)
class ExportForecast:
    """`bytes` of each type's file, `disk_bytes` that have to be free at once, `writing_s` seconds
    until all files stand."""

    bytes: Mapping[str, int]
    disk_bytes: int
    writing_s: float


def forecast_export(
    plan: ExportPlan, wished: RequestedTypes, merged: bool, threads: int
) -> ExportForecast:
    """What this export will take; `merged`: with the merged model's folder."""
    return ExportForecast(
        planned_bytes(plan, wished),
        disk_bytes(plan, wished, merged),
        writing_seconds(plan, wished, threads),
    )


def writing_seconds(plan: ExportPlan, wished: RequestedTypes, threads: int) -> float:
    """Seconds until all files of the wish stand, as far as can be told before."""
    elements, n_written, all_elements = Counter[Any](), 0, 0
    for tensor in plan.tensors:
        count = math.prod(tensor.shape)
        all_elements += count
        for form in tensor.formats:
            elements[form] += count
            n_written += n_bytes(form, tensor.shape)
    cost = {form: encoding_seconds(form) for form in elements}
    work_s = sum(cost[form] * count for form, count in elements.items())
    work_s += all_elements * MERGE_S + n_written * BYTE_S
    if wished.quantized:
        own = encoding_seconds(type_named(SLOWEST_OURS).base)
        work_s += len(wished.quantized) * all_elements * own
    return work_s / threads


def encoding_seconds(form: Any) -> float:
    """What one element costs in that format, on one core."""
    rows = np.linspace(-1, 1, math.prod(SAMPLE_SHAPE), dtype=np.float32).reshape(SAMPLE_SHAPE)
    form = possible_format(form, SAMPLE_SHAPE[1])
    took = []
    for _ in range(TRIES):
        started = time.perf_counter()
        encode(rows, form)
        took.append(time.perf_counter() - started)
    return min(took) / rows.size
