"""Rows, presets and a training stage in a folder, for the tests of this room."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import tiny
from workbench.pipeline.models.weights import TrainResult, Weights
from workbench.pipeline.training.distributed.collectives import SINGLE_PROCESS, ProcessGroup
from workbench.pipeline.training.monitor import NO_MONITORING, MonitorPlan
from workbench.pipeline.training.stage import train_stage
from workbench.pipeline.training.token_dataset import TokenDataset
from workbench.preset.schema import Model, TrainStage
from workbench.run.events import Event

VOCABULARY = 384
MODEL = Model.model_validate({"device": "cpu"})


@dataclass
class Row:
    """A tokenized row as the data room makes it."""

    ids: list[int]
    trained: list[bool]


def rows(count: int, *, seed: int = 0, longest: int = 40) -> list[Row]:
    """Random rows of uneven length: a masked prompt, then an answer that is trained."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        length = rng.randint(6, longest)
        prompt = rng.randint(2, length - 2)
        ids = [rng.randrange(4, VOCABULARY) for _ in range(length)]
        made.append(Row(ids, [i >= prompt for i in range(length)]))
    return made


def stage_settings(**changes: Any) -> TrainStage:
    """A small LoRA stage with dropout; `changes` win, `adapter` is a table."""
    adapter = {"rank": 8, "alpha": 16.0, "dropout": 0.1, **changes.pop("adapter", {})}
    values = {
        "name": "sft",
        "epochs": 2.0,
        "batch_tokens": 0 if "batch_size" in changes else 128,
        "learning_rate": 5e-3,
        "save_every": 4.0,
        "evaluate_every": 5.0,
        "adapter": adapter,
        **changes,
    }
    return TrainStage.model_validate(values)


class Bench:
    """A base, its data and a run's folder below `root`; `train` runs the stage in it."""

    def __init__(self, root: Path, kind: str = "llama", count: int = 40) -> None:
        self.root = root
        self.base = tiny.save_base(root / "base", kind)
        self.train_file, self.validation_file = root / "t.safetensors", root / "v.safetensors"
        TokenDataset.of(rows(count)).save(self.train_file)
        TokenDataset.of(rows(6, seed=1)).save(self.validation_file)

    def train(
        self,
        name: str = "run",
        *,
        should_stop: Callable[[], bool] = lambda: False,
        weights: Weights | None = None,
        settings: TrainStage | None = None,
        emit: Callable[[Event], None] | None = None,
        monitor_plan: MonitorPlan = NO_MONITORING,
        model: Model = MODEL,
        tokenizer: Any = None,
        ranks: ProcessGroup = SINGLE_PROCESS,
        shard_weights: bool = False,
    ) -> tuple[TrainResult, list[Event]]:
        """Train in `root/name`; returns the result and all events."""
        told: list[Event] = []
        stage = settings or stage_settings()
        result = train_stage(
            stage,
            model,
            weights or Weights(self.base),
            train=self.train_file,
            validation=self.validation_file,
            tokenizer=tokenizer or tiny.tokenizer(),
            folder=self.folder(name, stage.name),
            emit=emit or told.append,
            should_stop=should_stop,
            monitor_plan=monitor_plan,
            ranks=ranks,
            shard_weights=shard_weights,
        )
        return result, told

    def folder(self, name: str = "run", stage: str = "sft") -> Path:
        return self.root / name / "training" / stage

    def adapter(self, name: str = "run", which: str = "final", stage: str = "sft") -> Path:
        return self.folder(name, stage) / "adapters" / which / "adapter_model.safetensors"
