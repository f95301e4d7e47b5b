"""The learning rate as a pure function of the step: nothing to save, nothing to get wrong.

Resuming, extending and plotting are calls with another step.
An extension has a course of its own: what was planned has ended near zero, where nothing is
learned, so it begins at `EXTENSION_SHARE` of the peak after a short rise, and falls in a line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

Schedule = Literal["constant", "linear", "cosine"]
EXTENSION_SHARE = 0.3
EXTENSION_WARMUP = 0.05


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


def extended_lr_at(
    step: int,
    *,
    steps: int,
    extensions: Sequence[int],
    warmup_steps: int,
    learning_rate: float,
    schedule: Schedule,
    min_ratio: float = 0.0,
) -> float:
    """As `lr_at` over the `steps` that were planned; beyond them that of the step's extension.

    `extensions` are numbers of steps. A constant schedule goes on at its rate.
    """
    if step < steps or schedule == "constant":
        return lr_at(
            step,
            steps=steps,
            warmup_steps=warmup_steps,
            learning_rate=learning_rate,
            schedule=schedule,
            min_ratio=min_ratio,
        )
    start = steps
    for length in extensions:
        if step < start + length:
            break
        start += length
    return lr_at(
        step - start,
        steps=length,
        warmup_steps=round(EXTENSION_WARMUP * length),
        learning_rate=EXTENSION_SHARE * learning_rate,
        schedule="linear",
        min_ratio=min(1.0, min_ratio / EXTENSION_SHARE),
    )
