"""float16 gradients kept in range: the loss is scaled up before the backward pass, they down after.

A step whose gradients overflow is computed again at half the scale, on the same rows with the same
random numbers: no step is left out, and the schedule stays that of the plan. The scale is a part of
the checkpoint, so a resumed run takes the very steps of one that was left alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from workbench.pipeline.training.checkpoint import Counters

GROW_AFTER = 2000  # steps in a row without an overflow; then the scale doubles
SMALLEST = 2.0**-14  # below it the gradient itself is beyond float16


class LossScale:
    """Does nothing where it is not `used`. `counters` are the loop's own, at any time."""

    def __init__(self, counters: Callable[[], Counters], used: bool) -> None:
        self._counters, self.used = counters, used

    def up(self, loss: Tensor) -> Tensor:
        """The loss whose gradients fit into float16."""
        return loss * self._counters().loss_scale if self.used else loss

    @torch.no_grad()
    def down(self, parameters: Iterable[nn.Parameter]) -> None:
        """Bring the gradients back to those of the loss itself."""
        if not self.used:
            return
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.div_(self._counters().loss_scale)

    def overflowed(self, loss: float, norm: float) -> bool:
        """Whether the step is to be computed again; the scale is halved then.

        A loss that is no number comes from the forward pass, which no scale can help.
        """
        counters = self._counters()
        fits = math.isfinite(norm) or not math.isfinite(loss)
        if not self.used or fits or counters.loss_scale <= SMALLEST:
            return False
        counters.loss_scale, counters.steps_in_range = counters.loss_scale / 2, 0
        return True

    def stepped(self) -> None:
        """A step is through: after many in a row a larger scale is tried."""
        counters = self._counters()
        counters.steps_in_range += self.used
        if counters.steps_in_range >= GROW_AFTER:
            counters.loss_scale, counters.steps_in_range = counters.loss_scale * 2, 0
