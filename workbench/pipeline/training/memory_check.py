"""The memory that a stage needs: foreseen from its plan, then measured on its worst batches.

The worst micro-batches are those with the most positions and those with the most trained tokens.
"""

from __future__ import annotations

import re
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import cast

import numpy as np
import psutil
import torch

from workbench.architectures.shape import ModelShape
from workbench.estimate.memory import BatchWork, Device, MemoryEstimate
from workbench.estimate.stage import stage_memory, uses_gradient_checkpointing
from workbench.pipeline.models.base_shape import read_shape
from workbench.pipeline.training.batch_plan import BatchPlan, MicroBatch
from workbench.pipeline.training.device import pick_device, pick_dtype
from workbench.pipeline.training.token_dataset import TokenDataset
from workbench.preset.schema import Model, TrainStage
from workbench.run import events

CLEAR_REFS = Path("/proc/self/clear_refs")  # Linux: writing 5 there sets the peak back
STATUS = Path("/proc/self/status")


def estimate_stage_memory(
    shape: ModelShape | None,
    stage: TrainStage,
    model: Model,
    work: BatchWork | None = None,
    shares: int = 1,
) -> MemoryEstimate | None:
    """The estimate for a base of that shape; None for one of an unknown make.

    It is that of one process; `shares` of them share the weights out.
    """
    device = pick_device(model.device)
    if shape is None:
        return None
    kind, element_bytes = cast(Device, device.type), pick_dtype(model.dtype, device).itemsize
    total = device_bytes(device)[0]
    return stage_memory(shape, stage, model, kind, element_bytes, total, work, shares)


def resolve_gradient_checkpointing(
    config: Path, stage: TrainStage, model: Model, device: torch.device, shares: int = 1
) -> bool:
    """Whether the stage uses gradient checkpointing; of an unknown make, `auto` is: on CUDA."""
    shape, kind = read_shape(config), cast(Device, device.type)
    if shape is None:
        wish = stage.gradient_checkpointing
        return kind == "cuda" if wish == "auto" else bool(wish)
    element_bytes = pick_dtype(model.dtype, device).itemsize
    total = device_bytes(device)[0]
    return uses_gradient_checkpointing(shape, stage, model, kind, element_bytes, total, shares)


def batch_work(
    plan: BatchPlan, examples: TokenDataset, asked: BatchPlan | None, held_out: TokenDataset
) -> BatchWork:
    """The largest micro-batches of the plan's first epoch, and of the validation."""
    tokens, trained = _largest(plan, examples)
    more = _largest(asked, held_out) if asked else (0, 0)
    return BatchWork(tokens, trained, int(examples.lengths.max()), *more)


def largest_micro_batches(plan: BatchPlan, examples: TokenDataset) -> list[MicroBatch]:
    """The micro-batches of the first epoch with the most positions and the most trained tokens.

    Two of them, or one that is both.
    """
    steps = range(min(plan.steps, plan.steps_per_epoch))
    batches = [rows for step in steps for rows in plan.at(step)]
    targets = examples.targets
    most = max(batches, key=plan.slots)
    most_trained = max(batches, key=lambda rows: int(targets[list(rows)].sum()))
    return [*dict.fromkeys([most, most_trained])]


def uncovered_validation_batches(
    asked: BatchPlan, held_out: TokenDataset, plan: BatchPlan, examples: TokenDataset
) -> list[MicroBatch]:
    """The worst of the validation that training's worst do not cover.

    A pass without gradients keeps nothing for a way back. So it needs less than a training pass
    over as many positions, as many trained tokens and as long a row.
    """
    known = [_extent(plan, examples, rows) for rows in largest_micro_batches(plan, examples)]

    def covered(rows: MicroBatch) -> bool:
        extent = _extent(asked, held_out, rows)
        return any((extent <= one).all() for one in known)

    return [rows for rows in largest_micro_batches(asked, held_out) if not covered(rows)]


def _extent(plan: BatchPlan, examples: TokenDataset, rows: MicroBatch) -> np.ndarray:  # (3,)
    """Positions, trained tokens and the longest row of a micro-batch."""
    chosen = list(rows)
    targets, longest = examples.targets[chosen].sum(), examples.lengths[chosen].max()
    return np.array([plan.slots(rows), targets, longest])


def device_bytes(device: torch.device) -> tuple[int, int]:
    """(all, free) memory of the device; of the machine where it computes on the CPU."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return total, free
    memory = psutil.virtual_memory()
    if device.type == "mps":
        total = int(torch.mps.recommended_max_memory())
        return total, max(0, total - torch.mps.driver_allocated_memory())
    return memory.total, memory.available


class PeakMemory:
    """The most memory in use since this was made, where the system can count from there."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        elif device.type == "cpu":
            with suppress(OSError):
                CLEAR_REFS.write_text("5")

    def told(
        self, memory_estimate: MemoryEstimate | None, with_optimizer: bool
    ) -> events.MemoryMeasured:
        """The peak beside the estimate; `with_optimizer` adds what is foreseen for its state."""
        total, free = device_bytes(self._device)
        to_come = memory_estimate.optimizer if memory_estimate and with_optimizer else 0
        return events.MemoryMeasured(
            peak_bytes=self.bytes() + to_come,
            estimated_bytes=memory_estimate.peak if memory_estimate else 0,
            device_bytes=total,
            free_bytes=free,
            parts=dict(memory_estimate.parts) if memory_estimate else {},
        )

    def bytes(self) -> int:
        """The peak: allocated on a GPU, else the process's resident memory."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        if self._device.type == "mps":
            return torch.mps.driver_allocated_memory()
        with suppress(OSError):
            if found := re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text()):
                return int(found[1]) << 10
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _largest(plan: BatchPlan, examples: TokenDataset) -> tuple[int, int]:
    """(positions, trained tokens) of the largest micro-batches."""
    both = largest_micro_batches(plan, examples)
    most, most_trained = both[0], both[-1]
    return plan.slots(most), int(examples.targets[list(most_trained)].sum())
