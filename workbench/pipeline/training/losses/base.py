"""What every loss has: a model, and micro-batches of rows as tensors."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from workbench.pipeline.training.token_dataset import MicroBatchTensors


class Loss(nn.Module):
    """Wraps a causal language model; forward gives the summed loss of a micro-batch in float32.

    One module with one forward, so that data-parallel wrappers see every parameter's use. The sum
    is over the batch's `trained_tokens`: a step divides it by those of all its micro-batches.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, batch: MicroBatchTensors) -> Tensor:  # ()
        """The sum of the loss over the batch's trained tokens."""
        raise NotImplementedError
