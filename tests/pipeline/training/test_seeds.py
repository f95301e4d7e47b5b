"""Three seeds, each for one thing: the order of rows, dropout, the first values of an adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.pipeline.training.helpers import Bench, stage_settings
from tests.pipeline.training.test_stage import losses
from workbench.pipeline.training.token_dataset import TokenDataset
from workbench.pipeline.training.training_plan import plan_batches
from workbench.preset.schema import TrainStage

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

STILL = 1e-12  # a learning rate at which an adapter stays what it began as


def order_of(bench: Bench, stage: TrainStage) -> list[Any]:
    plan, _ = plan_batches(stage, TokenDataset.load(bench.train_file), validation=False)
    return [plan.at(step) for step in range(plan.steps)]


def first_values(bench: Bench, name: str, stage: TrainStage) -> dict[str, torch.Tensor]:
    bench.train(name, settings=stage)
    return {n: t for n, t in load_file(bench.adapter(name)).items() if "lora_A" in n}


def test_each_seed_changes_what_it_is_for_and_nothing_else(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    common = {"learning_rate": STILL, "max_steps": 2}
    plain = stage_settings(**common)
    order, values = order_of(bench, plain), first_values(bench, "plain", plain)
    for seed in ("order_seed", "dropout_seed", "weights_seed"):
        stage = stage_settings(**common, **{seed: 7})
        assert (order_of(bench, stage) != order) == (seed == "order_seed")
        others = first_values(bench, seed, stage)
        same = all(torch.allclose(others[name], values[name]) for name in values)
        assert same == (seed != "weights_seed")


def test_the_seed_of_dropout_is_seen_only_where_there_is_any(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    told = {}
    for dropout in (0.0, 0.3):
        for seed in (1, 2):
            stage = stage_settings(dropout_seed=seed, adapter={"dropout": dropout})
            told[dropout, seed] = losses(bench.train(f"{dropout}-{seed}", settings=stage)[1])
    assert told[0.0, 1] == told[0.0, 2]
    assert told[0.3, 1] != told[0.3, 2] and told[0.3, 1][0] == told[0.3, 2][0], "B is zero at first"


def test_not_given_they_are_that_of_the_stage() -> None:
    stage = stage_settings(seed=5, dropout_seed=6)
    assert (stage.order_seed, stage.dropout_seed, stage.weights_seed) == (5, 6, 5)
    assert stage_settings().order_seed == stage_settings().seed
