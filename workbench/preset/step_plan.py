"""The steps of a training stage: how many, and at which of them something happens.

Pure arithmetic: the same numbers always give the same plan, so a resumed stage has it too.
Steps are counted from 1; "at step n" means once n optimizer steps are done. Training passes the
real `steps_per_epoch` of its own batching; without it the plan is an estimate from the counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from math import ceil, floor

from workbench.preset.schema import TrainStage

# A micro-batch of this many tokens keeps a core's caches and a GPU busy; more only costs memory.
DEFAULT_MICRO_TOKENS = 4096


@dataclass(frozen=True)
class StepPlan:
    """Counts of optimizer steps; both tuples rise strictly and end with the last step.

    `steps` are the `planned_steps` and those of all extensions.
    """

    steps: int
    planned_steps: int
    steps_per_epoch: int
    warmup_steps: int
    evaluate_steps: tuple[int, ...]
    checkpoint_steps: tuple[int, ...]

    @property
    def epochs(self) -> float:
        """Passes over the data that the steps amount to."""
        return self.steps / self.steps_per_epoch


def plan_stage(
    stage: TrainStage,
    n_tokens: int,
    n_rows: int,
    *,
    steps_per_epoch: int | None = None,
    validation: bool = True,
) -> StepPlan:
    """The plan of a stage over `n_tokens` tokens in `n_rows` rows (repeats counted).

    Without `validation` rows there are no `evaluate_steps`. An empty stage is the caller's fault.
    """
    assert n_tokens > 0 and n_rows > 0, "a stage without rows is refused before it is planned"
    per_epoch = steps_per_epoch or estimate_steps_per_epoch(stage, n_tokens, n_rows)
    planned = stage.max_steps or max(1, _nearest(stage.epochs * per_epoch))
    ends = list(accumulate(stage.extensions, initial=planned))
    saves = set(steps_due(stage.save_every, planned, planned))
    for start, length in zip(ends, stage.extensions, strict=False):
        saves |= {start + step for step in steps_due(stage.save_every, length, length)}
    looks = {*steps_due(stage.evaluate_every, per_epoch, ends[-1]), *ends} if validation else ()
    return StepPlan(
        steps=ends[-1],
        planned_steps=planned,
        steps_per_epoch=per_epoch,
        warmup_steps=min(planned, steps_of(stage.warmup, planned)),
        evaluate_steps=tuple(sorted(looks)),
        checkpoint_steps=tuple(sorted(saves)),
    )


def micro_tokens(stage: TrainStage) -> int:
    """Positions of the largest micro-batch that the stage's settings allow."""
    if stage.batch_tokens:
        return max(stage.sequence_length, min(stage.batch_tokens, DEFAULT_MICRO_TOKENS))
    return stage.batch_size * stage.sequence_length


def estimate_steps_per_epoch(stage: TrainStage, n_tokens: int, n_rows: int) -> int:
    """Optimizer steps in a pass: by tokens, or by micro-batches of rows or packed sequences."""
    if stage.batch_tokens:
        return ceil(n_tokens / stage.batch_tokens)
    packed = min(n_rows, ceil(n_tokens / stage.sequence_length))
    micro_batches = ceil((packed if stage.packing else n_rows) / stage.batch_size)
    return ceil(micro_batches / stage.accumulation)


def steps_of(value: float, whole: int) -> int:
    """`value` in steps: below 1 a share of `whole`, to the nearest step; else steps already."""
    return _nearest(value * whole) if value < 1 else int(value)


def steps_due(value: float, whole: int, last: int) -> tuple[int, ...]:
    """The steps at which something due every `value` happens; always at the `last` one.

    A share is kept exactly, not rounded to a whole interval: every 0.1 of 25 steps gives ten a
    pass (3, 5, 8, 10, ...), never twelve. 0 is the last step alone.
    """
    interval = value * whole if value < 1 else value
    if interval <= 0:
        return (last,)
    if interval <= 1:
        return tuple(range(1, last + 1))
    due = {_nearest(n * interval) for n in range(1, floor(last / interval) + 1)}
    return tuple(sorted({step for step in due if step < last} | {last}))


def _nearest(steps: float) -> int:
    """The nearest whole number, halves up: Python's own rounding would go to even."""
    return floor(steps + 0.5)
