"""What the training loop is told and whom it tells: numbers, and functions to call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workbench.pipeline.training.compilation import Wish
from workbench.pipeline.training.lr_schedule import Schedule
from workbench.run.events import Emit


@dataclass(frozen=True)
class LoopSettings:
    """The numbers of the loop. Steps in `evaluate_at` and `save_at` count from 1."""

    learning_rate: float
    schedule: Schedule
    warmup_steps: int
    planned_steps: int
    dropout_seed: int
    evaluate_at: frozenset[int]
    save_at: frozenset[int]
    extensions: tuple[int, ...] = ()
    min_learning_rate_ratio: float = 0.0
    max_grad_norm: float = 1.0
    keep_checkpoints: int = 2
    early_stopping: int = 0
    compile: Wish = False


@dataclass(frozen=True)
class Hooks:
    """What the loop tells and asks. All are cheap enough for every step."""

    emit: Emit
    stopping: Callable[[], bool]
    checkpoint_now: Callable[[], bool]
    save_weights: Callable[[str], None]  # "best", "last" or "final"
