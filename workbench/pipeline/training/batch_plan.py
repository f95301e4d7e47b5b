"""Which rows make up each optimizer step, as a pure function of (lengths, settings, seed, step).

Every row is seen exactly once per epoch; none is dropped with a remainder. The order depends on
(seed, epoch) alone, never on how far a run got or how often it was resumed.

Two layouts of a micro-batch:
- packed: rows laid end to end without padding; limited by the sum of their lengths;
- padded: rows of about equal length side by side; limited by rows times the longest.

After an out-of-memory error every micro-batch is split into more parts. That doubles the gradient
accumulation: a step keeps its rows, its tokens and its weights in the loss, so only rounding (and
the draw of dropout) differs. The number of parts belongs to the checkpoint and is the same on all
ranks: if one of them runs out of memory, all start the step again.

The random numbers of a step are a function of its place: no state to save or to restore.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from workbench.core.errors import RunFailed
from workbench.pipeline.training.checkpoint import Counters
from workbench.pipeline.training.device import out_of_memory
from workbench.pipeline.training.distributed.collectives import ProcessGroup
from workbench.preset.step_plan import DEFAULT_MICRO_TOKENS
from workbench.run import events
from workbench.run.events import Emit

MicroBatch = tuple[int, ...]
StepRows = tuple[MicroBatch, ...]


@dataclass(frozen=True)
class BatchSettings:
    """How rows are gathered: `step_tokens` a step, or `accumulation` micro-batches a step.

    A micro-batch holds at most `micro_tokens` tokens, or exactly `micro_rows` rows where given.
    """

    packing: bool
    seed: int
    micro_tokens: int = DEFAULT_MICRO_TOKENS
    micro_rows: int = 0
    step_tokens: int = 0
    accumulation: int = 0

    def __post_init__(self) -> None:
        assert bool(self.step_tokens) != bool(self.accumulation), "tokens or micro-batches a step"


class BatchPlan:
    """All steps of a stage. `at(step)` gives the step's micro-batches of row numbers."""

    def __init__(
        self,
        lengths: Sequence[int] | np.ndarray,
        settings: BatchSettings,
        *,
        epochs: float = 1.0,
        max_steps: int = 0,
    ) -> None:
        self.lengths, self.settings = np.asarray(lengths, dtype=np.int64), settings
        self._cached: tuple[int, list[StepRows]] = (-1, [])
        self._starts = [0]
        wanted = math.ceil(epochs) if not max_steps else None
        while wanted is None or len(self._starts) <= wanted:
            if wanted is None and self._starts[-1] >= max_steps:
                break
            self._starts.append(self._starts[-1] + len(self._epoch(len(self._starts) - 1)))
        self.steps = max_steps or self._steps_of(epochs)

    def at(self, step: int) -> StepRows:
        """The micro-batches of step `step` (0-based)."""
        epoch = int(np.searchsorted(self._starts, step, side="right")) - 1
        return self._epoch(epoch)[step - self._starts[epoch]]

    def epoch_after(self, step: int) -> float:
        """How many epochs `step` steps are, with the fraction."""
        epoch = min(int(np.searchsorted(self._starts, step, side="right")), len(self._starts) - 1)
        start, end = self._starts[epoch - 1], self._starts[epoch]
        return epoch - 1 + (step - start) / max(1, end - start)

    def slots(self, rows: MicroBatch) -> int:
        """Positions that a micro-batch computes, padding included."""
        lengths = self.lengths[list(rows)]
        return int(lengths.sum()) if self.settings.packing else int(lengths.max()) * len(rows)

    @property
    def steps_per_epoch(self) -> int:
        """Steps of the first epoch; a later one may differ by the way its rows fall together."""
        return self._starts[1] if len(self._starts) > 1 else 0

    def _steps_of(self, epochs: float) -> int:
        whole = int(epochs)
        partial = epochs - whole
        if not partial:
            return self._starts[whole]
        length = self._starts[whole + 1] - self._starts[whole]
        return self._starts[whole] + max(1, round(length * partial))

    def _epoch(self, epoch: int) -> list[StepRows]:
        if self._cached[0] != epoch:
            self._cached = (epoch, epoch_steps(self.lengths, self.settings, epoch))
        return self._cached[1]


def single_epoch_plan(lengths: np.ndarray, packing: bool, longest: int = 0) -> BatchPlan:
    """Every row once, for measuring: micro-batches of the default size, `longest` row or more."""
    settings = BatchSettings(packing, 0, max(longest, DEFAULT_MICRO_TOKENS), accumulation=1)
    return BatchPlan(lengths, settings)


def split_micro_batch(rows: MicroBatch, lengths: np.ndarray, parts: int) -> list[MicroBatch]:
    """The rows in order, in `parts` of about as many tokens each; fewer where rows are fewer."""
    if parts == 1:
        return [rows]
    sizes = lengths[list(rows)]
    middles = np.cumsum(sizes) - sizes / 2
    bins = np.minimum(middles * parts // sizes.sum(), parts - 1)
    cuts = np.flatnonzero(np.diff(bins)) + 1
    return [tuple(int(row) for row in part) for part in np.split(np.asarray(rows), cuts)]


def epoch_steps(lengths: np.ndarray, settings: BatchSettings, epoch: int) -> list[StepRows]:
    """The steps of one epoch, in order; a permutation of all rows falls into them.

    Steps are filled evenly: a short remainder at the end would weigh as much as a whole step.
    """
    random = np.random.Generator(np.random.PCG64([settings.seed, epoch]))
    order = random.permutation(len(lengths))
    if settings.packing:
        micro = _packed(order, lengths, settings)
    else:
        by_length = order[np.argsort(lengths[order], kind="stable")]
        micro = list(_padded(by_length.tolist(), lengths, settings))
        micro = [micro[i] for i in random.permutation(len(micro))]
    if settings.accumulation:
        size = settings.accumulation
        return [tuple(micro[i : i + size]) for i in range(0, len(micro), size)]
    steps = min(len(micro), math.ceil(int(lengths.sum()) / settings.step_tokens))
    windows = np.array_split(np.arange(len(micro)), steps)
    return [tuple(micro[i] for i in window) for window in windows]


def _packed(order: np.ndarray, lengths: np.ndarray, settings: BatchSettings) -> list[MicroBatch]:
    """Shuffled rows cut into micro-batches of even size, each of about `micro_tokens` at most.

    A row goes where its middle falls, so a micro-batch is off by half a row at either end.
    """
    sizes = lengths[order]
    total = int(sizes.sum())
    count = math.ceil(total / settings.micro_tokens)
    if settings.step_tokens:  # whole steps first, then each in equal parts
        steps = math.ceil(total / settings.step_tokens)
        count = steps * math.ceil(total / steps / settings.micro_tokens)
    middles = np.cumsum(sizes) - sizes / 2
    bins = np.minimum(middles * count // total, count - 1)
    cuts = np.flatnonzero(np.diff(bins)) + 1
    return [tuple(part.tolist()) for part in np.split(order, cuts)]


def _padded(
    order: Sequence[int], lengths: np.ndarray, settings: BatchSettings
) -> Iterator[MicroBatch]:
    """Rows in order of length cut into micro-batches; a row too long for any stands alone."""
    limit = min(settings.micro_tokens, settings.step_tokens or settings.micro_tokens)
    rows: list[int] = []
    for row in order:  # shortest first: the newest row is the longest
        padded = (len(rows) + 1) * int(lengths[row])
        full = len(rows) == settings.micro_rows if settings.micro_rows else padded > limit
        if rows and full:
            yield tuple(rows)
            rows = []
        rows.append(row)
    if rows:
        yield tuple(rows)


OUT_OF_MEMORY_HINT = (
    "lower sequence_length, set gradient_checkpointing = true, quantize, or use a smaller base"
)


class MicroBatchSplitter:
    """Call it with work that may not fit. `counters` are the loop's own, at any time."""

    def __init__(
        self,
        counters: Callable[[], Counters],
        optimizer: torch.optim.Optimizer,
        emit: Emit,
        ranks: ProcessGroup,
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
            yield from split_micro_batch(rows, plan.lengths, max(least, self._counters().parts))

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
        return RunFailed(f"out of memory in step {step}: {reason} ({OUT_OF_MEMORY_HINT})")


def seed_of(seed: int, step: int, number: int) -> int:
    """The seed of the random numbers (dropout) of a step's micro-batch: a 63-bit mix of them.

    It does not hang on which rank computes the micro-batch, nor on what that rank did before.
    """
    mixed = (seed + 1) * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9
    return (mixed + number * 0x94D049BB133111EB) & ((1 << 63) - 1)
