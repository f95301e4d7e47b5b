"""Work that fits into memory: where it does not, every micro-batch is computed in more parts.

Halving doubles the accumulation: a step keeps its rows, its tokens and its weights in the loss,
so only rounding (and the draw of dropout) differs. The number of parts is a part of the checkpoint,
and the same on all ranks: where one of them has not the memory, all begin anew.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch

from workbench.core.errors import RunFailed
from workbench.pipeline.training.batch_plan import BatchPlan, MicroBatch, parted
from workbench.pipeline.training.checkpoint import Counters
from workbench.pipeline.training.device import out_of_memory
from workbench.pipeline.training.distributed.collectives import Ranks
from workbench.run import events
from workbench.run.events import Emit

LESS = "lower sequence_length, set gradient_checkpointing = true, quantize, or use a smaller base"


class Fitting:
    """Call it with work that may not fit. `counters` are the loop's own, at any time."""

    def __init__(
        self,
        counters: Callable[[], Counters],
        optimizer: torch.optim.Optimizer,
        emit: Emit,
        ranks: Ranks,
        alone: bool = True,
    ) -> None:
        """`alone`: the work exchanges nothing with other ranks, so that it can be begun anew."""
        self._counters, self._optimizer, self._emit = counters, optimizer, emit
        self._ranks, self._alone = ranks, alone

    def __call__(self, work: Callable[[], float], batches: Sequence[MicroBatch]) -> float:
        """What `work` on `batches` gives, anew in smaller parts while memory does not suffice.

        `batches` are those of all ranks, `work` is this one's share of them. Raises RunFailed
        when every row stands alone already, or others wait within the work.
        """
        while True:
            reason, done = "", 0.0
            try:
                done = work()
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                reason = str(error).splitlines()[0]
                if not self._alone:
                    raise self._failed(reason) from error
            # Only out here are the frames of the failure gone, and with them what they held.
            if not self._ranks.any(bool(reason)):
                return done
            told = [*filter(None, self._ranks.words(reason))][0]
            self._halve(told, max(len(rows) for rows in batches))

    def parts(
        self, batches: Iterable[MicroBatch], plan: BatchPlan, least: int = 1
    ) -> Iterator[MicroBatch]:
        """The micro-batches as they are to be computed: each in `least` parts or more."""
        for rows in batches:
            yield from parted(rows, plan.lengths, max(least, self._counters().parts))

    def _halve(self, reason: str, most_rows: int) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        counters = self._counters()
        if counters.parts >= most_rows:
            raise self._failed(reason)
        counters.parts *= 2
        message = (
            f"out of memory in step {counters.step + 1}: micro-batches are split into "
            f"{counters.parts} parts from here on; tokens per step stay the same ({reason})"
        )
        self._emit(events.Note(message=message, level="warning"))

    def _failed(self, reason: str) -> RunFailed:
        step = self._counters().step + 1
        return RunFailed(f"out of memory in step {step}: {reason} ({LESS})")
