"""What an export will take, before any work: bytes by type, disk, and the seconds of its writing.

What each format costs an element is measured a moment before on this machine, with what else it is
doing; a model's size then says the rest. Comparing comes on top and is not foreseen.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.pipeline.export.tensor_encoding import encode
from workbench.pipeline.export.output_files import Wish, disk_bytes, planned_bytes
from workbench.pipeline.export.plan import ExportPlan
from workbench.pipeline.export.tensor_types import n_bytes, possible_format, type_named

SAMPLE_SHAPE = (32, 2048)
TRIES = 2  # the quicker one counts: the first also loads the library
BYTE_S = 2e-9  # of a written byte: hashed, copied into the system's memory
MERGE_S = 2e-9  # of an element: read, merged, looked through
SLOWEST_OURS = "q4_k_m"  # what a type of llama.cpp's own is taken to cost


@dataclass(frozen=True)
class Foreseen:
    """`bytes` of each type's file, `disk_bytes` that have to be free at once, `writing_s` seconds
    until all files stand."""

    bytes: Mapping[str, int]
    disk_bytes: int
    writing_s: float


def foresee(plan: ExportPlan, wished: Wish, merged: bool, threads: int) -> Foreseen:
    """What this export will take; `merged`: with the merged model's folder."""
    return Foreseen(
        planned_bytes(plan, wished),
        disk_bytes(plan, wished, merged),
        writing_seconds(plan, wished, threads),
    )


def writing_seconds(plan: ExportPlan, wished: Wish, threads: int) -> float:
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
