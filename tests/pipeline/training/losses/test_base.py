"""Rows as one micro-batch: where each of them is, and which tokens are predicted."""

from __future__ import annotations

import pytest
import torch

from tests.pipeline.training.helpers import Row
from workbench.pipeline.models.causal_lm import causal_model
from workbench.pipeline.training.losses.base import Loss
from workbench.pipeline.training.token_dataset import MicroBatchTensors, TokenDataset, collate

CPU = torch.device("cpu")
ROWS = TokenDataset.of([Row([5, 6, 7], [True, True, True]), Row([8, 9], [False, True])])


def of(packing: bool) -> MicroBatchTensors:
    return collate(ROWS, [0, 1], packing=packing, pad_id=3, device=CPU)


def test_packed_rows_are_end_to_end_each_with_positions_of_its_own() -> None:
    batch = of(packing=True)
    assert batch.input_ids.tolist() == [[5, 6, 7, 8, 9]] and batch.segments == (3, 2)
    assert batch.position_ids.tolist() == [[0, 1, 2, 0, 1]] and batch.tokens == 5


def test_padded_rows_are_below_each_other() -> None:
    batch = of(packing=False)
    assert batch.input_ids.tolist() == [[5, 6, 7], [8, 9, 3]] and batch.segments == ()
    assert batch.position_ids.tolist() == [[0, 1, 2], [0, 1, 0]] and batch.tokens == 5


@pytest.mark.parametrize("packing", [True, False])
def test_a_position_predicts_the_next_token_of_its_row_and_no_first_one(packing: bool) -> None:
    batch = of(packing)
    assert (batch.targets.tolist(), batch.selected.tolist()) == ([6, 7, 9], [0, 1, 3])
    assert batch.trained_tokens == int(ROWS.targets.sum()) == 3


def test_first_token_is_never_a_target() -> None:
    examples = TokenDataset.of([Row([5, 6, 7], [True, True, True]), Row([8, 9], [False, False])])
    assert examples.targets.tolist() == [2, 0]
    batch = collate(examples, [0, 1], packing=True, pad_id=3, device=CPU)
    assert batch.targets.tolist() == [6, 7]


def test_a_loss_has_a_forward_of_its_own() -> None:
    network = torch.nn.Linear(1, 1)
    loss = Loss(network)
    assert causal_model(loss.model) is network
    with pytest.raises(NotImplementedError):
        loss(of(packing=True))
