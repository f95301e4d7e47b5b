"""Our loop against transformers' Trainer: same data, order and seed give the same losses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.utils.data import Dataset, Sampler
from transformers import Trainer, TrainerCallback, TrainingArguments

from tests import tiny
from tests.pipeline.training.helpers import Bench, Row, rows, stage_settings
from workbench.pipeline.training.token_dataset import TokenDataset
from workbench.pipeline.training.training_plan import plan_batches
from workbench.preset.schema import TrainStage
from workbench.run import events

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

STEPS = 20
KINDS = ["llama", "qwen2", "gemma2", "gemma3", "qwen3", "phi3", "mistral", "cohere"]


class Rows(Dataset[dict[str, Any]]):
    def __init__(self, examples: TokenDataset) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, row: int) -> dict[str, Any]:
        labels = self.examples.ids(row).clone()
        labels[~self.examples.trained(row)] = -100
        return {"input_ids": self.examples.ids(row), "labels": labels}


class Fixed(Sampler[int]):
    def __init__(self, order: list[int]) -> None:
        self.order = order

    def __iter__(self) -> Iterator[int]:
        return iter(self.order)

    def __len__(self) -> int:
        return len(self.order)


class FixedTrainer(Trainer):
    order: list[int] = []

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Sampler[int]:
        return Fixed(self.order)


class Losses(TrainerCallback):
    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if logs and "loss" in logs:
            self.losses.append(logs["loss"])


def pad(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    def stack(key: str, fill: int) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence(
            [row[key] for row in rows], batch_first=True, padding_value=fill
        )

    ids = stack("input_ids", 3)
    mask = stack_mask([len(row["input_ids"]) for row in rows], ids.shape[1])
    return {"input_ids": ids, "labels": stack("labels", -100), "attention_mask": mask}


def stack_mask(lengths: list[int], width: int) -> torch.Tensor:
    return (torch.arange(width)[None] < torch.tensor(lengths)[:, None]).long()


def trainer_losses(bench: Bench, stage: TrainStage, root: Path, kind: str) -> list[float]:
    examples = TokenDataset.load(bench.train_file)
    plan, _ = plan_batches(stage, examples, validation=False)
    order = [row for n in range(STEPS) for micro in plan.at(n) for row in micro]
    model = tiny.model(kind)
    model.set_attn_implementation("eager")  # SDPA leaves out Gemma 2's cap on the scores
    torch.manual_seed(stage.seed)
    config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    losses = Losses()
    arguments = TrainingArguments(
        output_dir=str(root / "trainer"),
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        max_steps=STEPS,
        learning_rate=stage.learning_rate,
        lr_scheduler_type="cosine",
        weight_decay=stage.weight_decay,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
    )
    trainer = FixedTrainer(
        model=get_peft_model(model, config),
        args=arguments,
        train_dataset=Rows(examples),
        data_collator=pad,
        callbacks=[losses],
    )
    trainer.order = order
    trainer.train()
    return losses.losses


@pytest.mark.parametrize("kind", KINDS)
def test_losses_equal_the_trainers(tmp_path: Path, kind: str) -> None:
    """20 steps of 2 micro-batches of 4 uneven rows; cosine schedule, weight decay, clipping."""
    bench = Bench(tmp_path, kind)
    few = [Row([4 + i % 20 for i in row.ids], row.trained) for row in rows(200)]
    TokenDataset.of(few).save(
        bench.train_file
    )  # of random ones of all tokens nothing can be learnt
    stage = stage_settings(
        batch_size=4,
        accumulation=2,
        packing=False,
        max_steps=STEPS,
        warmup=0.0,
        learning_rate=2e-3,
        adapter={"dropout": 0.0},
    )
    _, told = bench.train(settings=stage)
    ours = [event.loss for event in told if isinstance(event, events.Step)]
    theirs = trainer_losses(bench, stage, tmp_path, kind)
    assert len(ours) == len(theirs) == STEPS
    assert ours == pytest.approx(theirs, abs=1e-5)
    assert ours[0] - ours[-1] > 0.1, "nothing was learned, so nothing was compared"


def test_packing_gives_the_losses_of_padding(tmp_path: Path) -> None:
    """The same rows in one step, laid end to end or side by side: the same numbers."""
    bench = Bench(tmp_path, count=24)
    common = {"max_steps": 6, "warmup": 0.0, "adapter": {"dropout": 0.0}}
    everything = {"batch_tokens": 100_000, "sequence_length": 64}
    losses = {}
    for packing in (True, False):
        settings = stage_settings(packing=packing, **everything, **common)
        _, told = bench.train(f"packing-{packing}", settings=settings)
        losses[packing] = [event.loss for event in told if isinstance(event, events.Step)]
    assert losses[True] == pytest.approx(losses[False], abs=1e-5)
