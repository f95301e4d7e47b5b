"""Losses by the kind that an objective names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workbench.objectives.base import LossKind, Objective
from workbench.pipeline.training.losses.base import Loss
from workbench.pipeline.training.losses.cross_entropy import CrossEntropyLoss

LOSSES: dict[LossKind, Callable[[Any], Loss]] = {"cross_entropy": CrossEntropyLoss}


def loss_of(objective: Objective, model: Any) -> Loss:
    """The loss of `objective` over `model`, a causal language model with or without an adapter."""
    return LOSSES[objective.loss](model)
