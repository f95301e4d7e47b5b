"""Weights shared out among two ranks: the same losses as on one, and what is saved is whole.

The processes are real and joined by gloo; only the GPUs are missing.
"""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from tests import tiny
from tests.pipeline.training.distributed.test_collectives import FULL, figures, settings
from tests.pipeline.training.helpers import Bench
from tests.pipeline.training.together import together
from workbench.core.errors import Interrupted, RunFailed
from workbench.pipeline.models.weights import Weights
from workbench.pipeline.training import loop
from workbench.pipeline.training.distributed.collectives import ProcessGroup
from workbench.preset.schema import Model
from workbench.run import events

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing_enable:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]
LORA: dict[str, Any] = {}
LAST = {"kind": "full", "dropout": 0.0, "last_layers": 1}
NF4 = {"device": "cpu", "quantization": "nf4"}
AGAIN = {"gradient_checkpointing": True}
STEPS = 8


def trained(bench: Bench, name: str, stage: Any, **given: Any) -> Any:
    """The job of every rank: what it tells, and what share of all weights it holds."""

    def job(ranks: ProcessGroup) -> dict[str, Any]:
        held = [0, 0]
        prepare = loop.TrainingLoop.restore

        def look(self: Any) -> None:
            for parameter in self.module.parameters():
                here = parameter.to_local() if isinstance(parameter, DTensor) else parameter
                held[0] += here.numel()
                held[1] += parameter.numel()
            assert isinstance(self.module, FSDPModule)
            prepare(self)

        loop.TrainingLoop.restore = look  # type: ignore[method-assign]
        _, told = bench.train(name, settings=stage, ranks=ranks, shard_weights=True, **given)
        plans = [event for event in told if isinstance(event, events.TrainingPlanned)]
        assert not plans or (plans[0].processes, plans[0].shared) == (2, True)
        return {**figures(told), "held": held[0] / held[1]}

    return job


@pytest.mark.parametrize(
    ("kind", "adapter", "changes"),
    [
        pytest.param("llama", LORA, {}, id="lora-packed"),
        pytest.param("qwen2", FULL, {"packing": False}, id="full-padded-tied"),
        pytest.param("llama", {"kind": "dora"}, AGAIN, id="dora", marks=pytest.mark.slow),
        pytest.param("gemma2", FULL, AGAIN, id="full-again", marks=pytest.mark.slow),
        pytest.param("llama", LAST, {}, id="last-layers", marks=pytest.mark.slow),
    ],
)
def test_two_ranks_that_share_weights_train_what_one_does(
    tmp_path: Path, kind: str, adapter: dict[str, Any], changes: dict[str, Any]
) -> None:
    bench = Bench(tmp_path, kind, count=30)
    stage = settings(adapter, max_steps=STEPS, accumulation=3, **changes)
    alone = figures(bench.train("one", settings=stage)[1])
    first, second = together(tmp_path / "group", 2, trained(bench, "two", stage))
    assert len(first["loss"]) == STEPS and len(set(first["loss"])) == STEPS
    for what in ("loss", "norm", "validation"):
        assert first[what] == pytest.approx(alone[what], abs=1e-5), what
    assert first["held"] < 0.65 and second["held"] < 0.65, "nobody holds all of it"
    for which in ("best", "final"):
        one, two = (saved(bench, name, which) for name in ("one", "two"))
        assert one.keys() == two.keys()
        assert all((one[key] - two[key]).abs().max() < 1e-4 for key in one)


def saved(bench: Bench, name: str, which: str) -> dict[str, Any]:
    folder = bench.folder(name) / "adapters" / which
    return load_file(next(folder.glob("*.safetensors")))


@pytest.mark.parametrize("adapter", [LORA, FULL], ids=["lora", "full"])
def test_a_checkpoint_of_shared_weights_is_one_of_whole_ones(
    tmp_path: Path, adapter: dict[str, Any]
) -> None:
    """What two that share have saved one goes on with, and they with what one has saved."""
    bench, stage = Bench(tmp_path, count=30), settings(adapter, max_steps=6, save_every=3.0)
    alone = figures(bench.train("one", settings=stage)[1])

    def stopped(ranks: ProcessGroup, name: str, shard_weights: bool) -> None:
        looks = iter(range(1, 100))
        with pytest.raises(Interrupted):
            bench.train(
                name,
                settings=stage,
                ranks=ranks,
                shard_weights=shard_weights,
                should_stop=lambda: next(looks) == 3,
            )

    together(tmp_path / "a", 2, lambda ranks: stopped(ranks, "shared", True))
    shutil.copytree(tmp_path / "shared", tmp_path / "shared-on")
    stopped(ProcessGroup(), "whole", False)
    to_one = figures(bench.train("shared", settings=stage)[1])
    to_two = together(tmp_path / "b", 2, trained(bench, "whole", stage))[0]
    on = together(tmp_path / "c", 2, trained(bench, "shared-on", stage))[0]
    for rest in (to_one, to_two, on):
        assert rest["loss"] == pytest.approx(alone["loss"][3:], abs=1e-5)


def test_4_bit_weights_are_shared_out(tmp_path: Path) -> None:
    """QLoRA: each rank holds half of the 4-bit bytes, a layer puts them together."""
    pytest.importorskip("bitsandbytes")
    bench = Bench(tmp_path, count=30)
    stage, model = settings(max_steps=4), Model.model_validate(NF4)
    alone = figures(bench.train("one", settings=stage, model=model)[1])
    first, second = together(tmp_path / "group", 2, trained(bench, "two", stage, model=model))
    for what in ("loss", "norm", "validation"):
        assert first[what] == pytest.approx(alone[what], abs=1e-4), what
    assert first["held"] < 0.7 and second["held"] < 0.7


@pytest.mark.slow
@pytest.mark.parametrize(("adapter", "within"), [(LORA, 0.02), (FULL, 0.05)], ids=["lora", "full"])
def test_in_bfloat16_layers_compute_in_it_and_weights_are_kept(
    tmp_path: Path, adapter: dict[str, Any], within: float
) -> None:
    """All weights: float32 as they are trained, whereas one process has autocast."""
    bench, stage = Bench(tmp_path, count=30), settings(adapter, max_steps=6)
    model = Model.model_validate({"device": "cpu", "dtype": "bfloat16"})
    alone = figures(bench.train("one", settings=stage, model=model)[1])
    both = together(tmp_path / "group", 2, trained(bench, "two", stage, model=model))[0]
    assert both["loss"] == pytest.approx(alone["loss"], abs=within)
    assert both["loss"] != alone["loss"]
    one, two = (saved(bench, name, "final") for name in ("one", "two"))
    assert {key: t.dtype for key, t in one.items()} == {key: t.dtype for key, t in two.items()}


@pytest.mark.slow
def test_an_earlier_adapter_beneath_4_bit_weights_is_shared_out(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    bench, model = Bench(tmp_path, count=30), Model.model_validate(NF4)
    bench.train("first", settings=settings(max_steps=3), model=model)
    weights = Weights(bench.base, (bench.adapter("first").parent,))
    given: dict[str, Any] = {"model": model, "weights": weights}
    stage = settings(max_steps=4)
    alone = figures(bench.train("one", settings=stage, **given)[1])
    both = together(tmp_path / "group", 2, trained(bench, "two", stage, **given))[0]
    assert both["loss"] == pytest.approx(alone["loss"], abs=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`:UserWarning")
def test_added_tokens_are_trained_beside_shared_weights(tmp_path: Path) -> None:
    tokenizer = copy.deepcopy(tiny.tokenizer())
    tokenizer.add_tokens(["<think>"])
    model = Model.model_validate({"device": "cpu", "added_tokens": ["<think>"]})
    bench, stage = Bench(tmp_path, count=30), settings(max_steps=4)
    given = {"model": model, "tokenizer": tokenizer}
    alone = figures(bench.train("one", settings=stage, **given)[1])
    both = together(tmp_path / "group", 2, trained(bench, "two", stage, **given))[0]
    assert both["loss"] == pytest.approx(alone["loss"], abs=1e-5)
    assert both["validation"] == pytest.approx(alone["validation"], abs=1e-5)
    one, two = (saved(bench, name, "final") for name in ("one", "two"))
    assert one.keys() == two.keys()
    assert all((one[key] - two[key]).abs().max() < 1e-4 for key in one)


def test_memory_that_one_lacks_ends_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others wait amid a pass: it cannot be begun anew in smaller parts."""
    bench, plain = Bench(tmp_path), loop.TrainingLoop._accumulate

    def scarce(self: loop.TrainingLoop, *args: Any) -> float:
        if self.counters.step == 1:
            raise MemoryError("no memory")
        return plain(self, *args)

    monkeypatch.setattr(loop.TrainingLoop, "_accumulate", scarce)

    def job(ranks: ProcessGroup) -> str:
        with pytest.raises(RunFailed) as failure:
            bench.train("two", settings=settings(max_steps=4), ranks=ranks, shard_weights=True)
        return str(failure.value)

    assert "out of memory in step 2: no memory (" in together(tmp_path / "group", 2, job)[1]
