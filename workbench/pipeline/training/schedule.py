"""The learning rate as a pure function of the step: nothing to save, nothing to get wrong.

Resuming, extending and plotting are calls with another step.
"""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["constant", "linear", "cosine"]


def lr_at(
    step: int,
    *,
    steps: int,
    warmup_steps: int,
    learning_rate: float,
    schedule: Schedule,
    min_ratio: float = 0.0,
) -> float:
    """Learning rate of optimizer step `step` (0-based) of `steps`.

    Three phases: a linear rise over `warmup_steps` whose first step is not zero; from there the
    schedule, starting at the peak; its end lies at `min_ratio * learning_rate` one step past the
    last, so that no step is spent at zero.
    """
    if step < warmup_steps:
        return learning_rate * (step + 1) / (warmup_steps + 1)
    if schedule == "constant" or steps <= warmup_steps:
        return learning_rate
    progress = min(1.0, (step - warmup_steps) / (steps - warmup_steps))
    falling = 1.0 - progress if schedule == "linear" else 0.5 * (1 + math.cos(math.pi * progress))
    return learning_rate * (min_ratio + (1.0 - min_ratio) * falling)
