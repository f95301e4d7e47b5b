"""An objective names its loss, and gets a module over its model."""

from __future__ import annotations

import pytest
import torch

from tests import tiny
from tests.pipeline.training.helpers import rows
from workbench.objectives import OBJECTIVES, objective_of
from workbench.objectives.base import ObjectiveName
from workbench.pipeline.models.rotary import separate_sequences
from workbench.pipeline.training import packed_attention
from workbench.pipeline.training.losses import loss_of
from workbench.pipeline.training.losses.cross_entropy import CrossEntropyLoss
from workbench.pipeline.training.token_dataset import TokenDataset, collate


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_loss_of_an_objective_is_that_of_its_kind(name: ObjectiveName) -> None:
    model = tiny.model()
    model.set_attn_implementation(packed_attention.NAME)
    separate_sequences(model)
    loss = loss_of(objective_of(name), model)
    assert isinstance(loss, CrossEntropyLoss) and loss.model is model
    examples = TokenDataset.of(rows(3))
    batch = collate(examples, range(3), packing=True, pad_id=3, device=torch.device("cpu"))
    assert loss(batch).item() == CrossEntropyLoss(model)(batch).item() > 0
    assert {id(p) for p in loss.parameters()} == {id(p) for p in model.parameters()}
