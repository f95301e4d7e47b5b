"""Several ranks train what one does: the same global batch, the same losses; and they never part.

The processes are real and joined by gloo; only the GPUs are missing.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.pipeline.training.helpers import Bench, stage_settings
from tests.pipeline.training.together import together
from workbench.core import files
from workbench.core.errors import Interrupted, RunFailed
from workbench.pipeline.training import checkpoint, loop
from workbench.pipeline.training.distributed.collectives import ProcessGroup, shared
from workbench.run import events

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]
STEPS = 20
LORA: dict[str, Any] = {}
FULL = {"kind": "full", "dropout": 0.0}


def figures(told: list[events.Event]) -> dict[str, list[float]]:
    """Losses and gradient norms of the steps, and the validation losses."""
    steps = [event for event in told if isinstance(event, events.Step)]
    return {
        "loss": [step.loss for step in steps],
        "norm": [step.gradient_norm for step in steps],
        "tokens": [step.tokens for step in steps],
        "validation": [event.loss for event in told if isinstance(event, events.Validated)],
    }


def settings(adapter: dict[str, Any] = LORA, **changes: Any) -> Any:
    """Twenty steps of four micro-batches, a look every four."""
    return stage_settings(
        **{
            "max_steps": STEPS,
            "sequence_length": 40,
            "evaluate_every": 4.0,
            "batch_size": 3,
            "accumulation": 4,
            "learning_rate": 1e-3,
            "adapter": adapter,
            **changes,
        }
    )


def trained(bench: Bench, name: str, stage: Any, **given: Any) -> Any:
    """The job of every rank: what it tells, which is nothing but on the first."""

    def job(ranks: ProcessGroup) -> dict[str, list[float]]:
        _, told = bench.train(name, settings=stage, ranks=ranks, **given)
        assert ranks.first or not told
        return figures(told)

    return job


@pytest.mark.parametrize(
    ("adapter", "packing"),
    [
        pytest.param(LORA, True, id="lora-packed"),
        pytest.param(LORA, False, id="lora-padded", marks=pytest.mark.slow),
        pytest.param(FULL, True, id="full-packed", marks=pytest.mark.slow),
        pytest.param(FULL, False, id="full-padded"),
    ],
)
def test_two_ranks_train_what_one_does(
    tmp_path: Path, adapter: dict[str, Any], packing: bool
) -> None:
    """Dropout included: a micro-batch draws the same whichever rank computes it."""
    bench = Bench(tmp_path, count=30)
    stage = settings(adapter, packing=packing)
    alone = figures(bench.train("one", settings=stage)[1])
    both = together(tmp_path / "group", 2, trained(bench, "two", stage))[0]
    assert len(both["loss"]) == STEPS and both["tokens"] == alone["tokens"]
    for what in ("loss", "norm", "validation"):
        assert both[what] == pytest.approx(alone[what], abs=1e-5), what
    assert len(set(alone["loss"])) == STEPS, "nothing was learnt"


def test_fewer_micro_batches_than_ranks_are_parted(tmp_path: Path) -> None:
    """One micro-batch a step, two ranks: each takes half of it, and the loss is the same."""
    bench = Bench(tmp_path)
    stage = settings({"dropout": 0.0}, batch_size=6, accumulation=1, max_steps=6)
    alone = figures(bench.train("one", settings=stage)[1])
    both = together(tmp_path / "group", 2, trained(bench, "two", stage))[0]
    assert both["loss"] == pytest.approx(alone["loss"], abs=1e-5)
    assert both["norm"] == pytest.approx(alone["norm"], abs=1e-5)


def test_a_rank_without_work_takes_part(tmp_path: Path) -> None:
    """Three ranks, one row a step: two of them have only zeros to add."""
    bench = Bench(tmp_path)
    stage = settings(FULL, batch_size=1, accumulation=1, packing=False, max_steps=3)
    alone = figures(bench.train("one", settings=stage)[1])
    all_three = together(tmp_path / "group", 3, trained(bench, "three", stage))[0]
    assert all_three["loss"] == pytest.approx(alone["loss"], abs=1e-5)


def test_a_stop_that_one_rank_hears_stops_all_and_the_rest_has_the_same_bits(
    tmp_path: Path,
) -> None:
    bench, stage = Bench(tmp_path, count=30), settings(max_steps=8, save_every=3.0)
    together(tmp_path / "a", 2, trained(bench, "whole", stage))

    def stopped(ranks: ProcessGroup) -> int:
        looks = iter(range(1, 100))
        with pytest.raises(Interrupted, match="stopped after step 5 of 8"):
            bench.train(
                "cut",
                settings=stage,
                ranks=ranks,
                should_stop=lambda: next(looks) == 5 and not ranks.first,
            )
        return next(looks)

    assert together(tmp_path / "b", 2, stopped) == [6, 6]
    together(tmp_path / "c", 2, trained(bench, "cut", stage))
    assert files.sha256(bench.adapter("cut")) == files.sha256(bench.adapter("whole"))


def test_what_two_ranks_saved_one_goes_on_with_and_the_reverse(tmp_path: Path) -> None:
    bench, stage = Bench(tmp_path, count=30), settings(max_steps=8, save_every=4.0)
    alone = figures(bench.train("one", settings=stage)[1])

    def stopped(ranks: ProcessGroup, name: str) -> None:
        looks = iter(range(1, 100))
        with pytest.raises(Interrupted):
            bench.train(name, settings=stage, ranks=ranks, should_stop=lambda: next(looks) == 4)

    together(tmp_path / "a", 2, lambda ranks: stopped(ranks, "from-two"))
    stopped(ProcessGroup(), "from-one")
    to_one = figures(bench.train("from-two", settings=stage)[1])
    to_two = together(tmp_path / "b", 2, trained(bench, "from-one", stage))[0]
    for rest in (to_one, to_two):
        assert rest["loss"] == pytest.approx(alone["loss"][4:], abs=1e-5)


def test_memory_that_one_rank_lacks_halves_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, stage = Bench(tmp_path), settings({"dropout": 0.0}, max_steps=4)
    alone = figures(bench.train("one", settings=stage)[1])
    plain = loop.TrainingLoop._accumulate

    def scarce(self: loop.TrainingLoop, *args: Any) -> float:
        value = plain(self, *args)
        if self.ranks.rank == 1 and self.counters.step == 2 and self.counters.parts == 1:
            raise torch.OutOfMemoryError("no memory on the second")
        return value

    monkeypatch.setattr(loop.TrainingLoop, "_accumulate", scarce)

    def job(ranks: ProcessGroup) -> dict[str, Any]:
        _, told = bench.train("two", settings=stage, ranks=ranks)
        notes = [event.message for event in told if isinstance(event, events.Note)]
        return {**figures(told), "notes": notes}

    first, second = together(tmp_path / "group", 2, job)
    assert first["loss"] == pytest.approx(alone["loss"], abs=1e-5)
    assert [note for note in first["notes"] if "in step 3: micro-batches are split" in note]
    assert "no memory on the second" in first["notes"][0] and not second["notes"]


def test_nan_on_one_rank_stops_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, plain = Bench(tmp_path), loop.TrainingLoop._accumulate

    def broken(self: loop.TrainingLoop, *args: Any) -> float:
        value = plain(self, *args)
        return math.nan if self.ranks.rank == 1 and self.counters.step == 2 else value

    monkeypatch.setattr(loop.TrainingLoop, "_accumulate", broken)

    def job(ranks: ProcessGroup) -> str:
        with pytest.raises(RunFailed) as failure:
            bench.train("two", settings=settings(max_steps=4), ranks=ranks)
        return str(failure.value)

    told = together(tmp_path / "group", 2, job)
    assert told[0] == told[1] and "loss of step 3 is not a finite number" in told[0]


def test_early_stopping_and_the_best_are_one_decision(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    stage = settings(
        evaluate_every=1.0, early_stopping=2, learning_rate=0.5, max_steps=40, warmup=0.0
    )

    def job(ranks: ProcessGroup) -> list[Any]:
        result, _ = bench.train("two", settings=stage, ranks=ranks)
        return [result.steps, result.best_step, result.best_loss]

    first, second = together(tmp_path / "group", 2, job)
    assert first == second and first[0] < 40
    assert list(checkpoint.steps(bench.folder("two")))


def test_pieces_go_to_the_least_laden_rank() -> None:
    assert shared([5, 1, 4, 2], 2) == [[0, 1], [2, 3]]
    assert shared([3, 3, 3], 2) == [[0, 2], [1]]
    assert shared([7], 3) == [[0], [], []]


def test_ranks_tell_each_other_texts_and_figures(tmp_path: Path) -> None:
    def job(ranks: ProcessGroup) -> list[Any]:
        said = ranks.words("größer" * ranks.rank)
        return [
            said,
            ranks.total(0.5 + ranks.rank),
            ranks.any(ranks.rank == 2),
            ranks.agree(ranks.rank > 0),
        ]

    told = together(tmp_path / "group", 3, job)
    assert told == [[["", "größer", "größergrößer"], 4.5, True, False]] * 3
    assert ProcessGroup().words("a") == ["a"] and ProcessGroup().total(2.5) == 2.5
