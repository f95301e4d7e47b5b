"""A training stage from the outside: resuming, stopping, chaining stages, refusing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from tests import tiny
from tests.pipeline.training.helpers import Bench, Row, rows, stage_settings
from workbench.core import files
from workbench.core.errors import Interrupted, UserError
from workbench.pipeline.models.weights import Weights
from workbench.pipeline.models.weights import load as load_result
from workbench.pipeline.training import checkpoint
from workbench.pipeline.training.token_dataset import TokenDataset
from workbench.preset.schema import Model
from workbench.run import events

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


class After:
    """Asks to stop at the n-th safe point."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __call__(self) -> bool:
        self.left -= 1
        return self.left == 0


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def losses(told: list[events.Event]) -> list[float]:
    return [event.loss for event in told if isinstance(event, events.Step)]


@pytest.mark.parametrize("packing", [True, False])
def test_resumed_at_any_step_the_bits_are_the_same(bench: Bench, packing: bool) -> None:
    stage = stage_settings(packing=packing)
    result, whole = bench.train("whole", settings=stage)
    for stop in (1, 3, 4, 7, result.steps - 1):
        name = f"stopped-{stop}"
        with pytest.raises(Interrupted):
            bench.train(name, should_stop=After(stop), settings=stage)
        _, rest = bench.train(name, settings=stage)
        assert losses(rest) == losses(whole)[stop:]
        for which in ("best", "last", "final"):
            ours, theirs = bench.adapter(name, which), bench.adapter("whole", which)
            assert files.sha256(ours) == files.sha256(theirs), (stop, which)


def test_a_finished_stage_trains_no_more(bench: Bench) -> None:
    result, _ = bench.train()
    again, told = bench.train()
    assert again == result
    assert losses(told) == []


def test_full_training_resumes_too(bench: Bench) -> None:
    stage = stage_settings(adapter={"kind": "full"}, learning_rate=1e-3)
    bench.train("whole", settings=stage)
    with pytest.raises(Interrupted):
        bench.train("stopped", should_stop=After(6), settings=stage)
    bench.train("stopped", settings=stage)
    finals = [bench.folder(n) / "adapters/final/model.safetensors" for n in ("whole", "stopped")]
    assert files.sha256(finals[0]) == files.sha256(finals[1])


def test_damaged_checkpoint_is_passed_over_and_named(bench: Bench) -> None:
    bench.train("whole")
    with pytest.raises(Interrupted):
        bench.train("hurt", should_stop=After(9))
    newest = list(checkpoint.steps(bench.folder("hurt")))[-1]
    with open(newest / "trainable.safetensors", "r+b") as file:
        file.truncate(100)
    _, told = bench.train("hurt")
    refused = [event for event in told if isinstance(event, events.CheckpointRefused)]
    assert [(e.path, e.reason) for e in refused] == [
        (newest.name, "trainable.safetensors is damaged")
    ]
    assert files.sha256(bench.adapter("hurt")) == files.sha256(bench.adapter("whole"))


def test_only_the_newest_checkpoints_stay(bench: Bench) -> None:
    bench.train(settings=stage_settings(save_every=2.0, keep_checkpoints=3))
    assert len(list(checkpoint.steps(bench.folder()))) == 3


def test_other_data_is_refused_on_resume(bench: Bench) -> None:
    with pytest.raises(Interrupted):
        bench.train(should_stop=After(3))
    TokenDataset.of(rows(40, seed=9)).save(bench.train_file)
    with pytest.raises(UserError, match="trained with other data or settings"):
        bench.train()


def test_best_adapter_is_that_of_the_lowest_validation_loss(bench: Bench) -> None:
    result, told = bench.train()
    measured = [event for event in told if isinstance(event, events.Validated)]
    best = min(measured, key=lambda event: event.loss)
    assert (result.best_step, result.best_loss) == (best.step, best.loss)
    assert load_result(bench.folder()) == result
    assert result.take("last").adapters[0].name == "final"
    model = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(bench.base), result.weights.adapters[0]
    )
    assert validation_loss(model, bench) == pytest.approx(best.loss, abs=1e-5)


def validation_loss(model: Any, bench: Bench) -> float:
    held_out, total = TokenDataset.load(bench.validation_file), 0.0
    with torch.no_grad():
        for row in range(len(held_out)):
            ids = held_out.ids(row)[None]
            labels = ids.clone()
            labels[0, ~held_out.trained(row)] = -100
            total += float(model(input_ids=ids, labels=labels).loss) * int(held_out.targets[row])
    return total / int(held_out.targets.sum())


def test_evaluating_does_not_change_training(bench: Bench) -> None:
    bench.train("often", settings=stage_settings(evaluate_every=1.0))
    bench.train("never", settings=stage_settings(evaluate_every=0.0))
    assert files.sha256(bench.adapter("often")) == files.sha256(bench.adapter("never"))


def test_second_stage_stands_on_the_first(bench: Bench) -> None:
    """W + d1 is the base of the second stage; its adapter comes on top, in order."""
    first, _ = bench.train(settings=stage_settings(name="one"))
    second, told = bench.train(settings=stage_settings(name="two"), weights=first.weights)
    assert [path.parent.parent.name for path in second.weights.adapters] == ["one", "two"]
    merged = AutoModelForCausalLM.from_pretrained(bench.base)
    for adapter in second.weights.adapters:
        merged = PeftModel.from_pretrained(merged, adapter).merge_and_unload()
    assert validation_loss(merged, bench) == pytest.approx(second.best_loss, abs=1e-5)


def test_a_carried_adapter_goes_on(bench: Bench) -> None:
    first, _ = bench.train(settings=stage_settings(name="one"))
    stage = stage_settings(name="two", adapter={"continue": "carry"})
    second, _ = bench.train(settings=stage, weights=first.weights)
    assert [path.parent.parent.name for path in second.weights.adapters] == ["two"]
    a, b = (load_file(bench.adapter("run", "best", n)) for n in ("one", "two"))
    assert a.keys() == b.keys() and any(not torch.equal(a[k], b[k]) for k in a)


def test_accumulation_weighs_tokens_not_batches(bench: Bench) -> None:
    """One step of 8 rows, in one micro-batch or in eight: the same loss and gradient."""
    TokenDataset.of([*rows(7), Row([5, 6, 7, 8], [False] * 4)]).save(bench.train_file)
    told = {}
    for size in (8, 1):
        settings = stage_settings(
            batch_size=size,
            accumulation=8 // size,
            packing=False,
            max_steps=4,
            adapter={"dropout": 0.0},
        )
        _, events_ = bench.train(f"size-{size}", settings=settings)
        told[size] = [(e.loss, e.gradient_norm) for e in events_ if isinstance(e, events.Step)]
    for one, many in zip(told[8], told[1], strict=True):
        assert one == pytest.approx(many, abs=1e-5)


def test_early_stopping(bench: Bench) -> None:
    stage = stage_settings(
        evaluate_every=1.0, early_stopping=2, learning_rate=0.5, epochs=20.0, warmup=0.0
    )
    result, told = bench.train(settings=stage)
    gains = [event.best for event in told if isinstance(event, events.Validated)]
    assert gains[-2:] == [False, False] and result.steps < 100


def test_something_is_trained_and_the_base_is_not(bench: Bench) -> None:
    before = files.sha256(bench.base / "model.safetensors")
    bench.train()
    adapter = load_file(bench.adapter())
    assert all(float(t.abs().max()) > 0 for name, t in adapter.items() if "lora_B" in name)
    assert files.sha256(bench.base / "model.safetensors") == before


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        (
            {"targets": ["q_proj", "qq_proj"]},
            "no module .qq_proj. in this model .did you mean .q_proj.",
        ),
        ({"last_layers": 3}, "3, but the model has 2"),
    ],
)
def test_impossible_targets_are_refused(
    bench: Bench, adapter: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        bench.train(settings=stage_settings(adapter=adapter))


@pytest.mark.parametrize(("targets", "matrices"), [("attention", 4), ("all-linear", 7)])
def test_last_layers_only(bench: Bench, targets: str, matrices: int) -> None:
    bench.train(settings=stage_settings(adapter={"last_layers": 1, "targets": targets}))
    names = load_file(bench.adapter())
    assert len(names) == 2 * matrices and all(".layers.1." in name for name in names)


def test_all_linear_is_all_but_the_head(bench: Bench) -> None:
    bench.train()
    names = load_file(bench.adapter())
    assert len(names) == 2 * 2 * 7 and not any("lm_head" in name for name in names)


def test_unreadable_base_is_one_line(bench: Bench) -> None:
    (bench.base / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(UserError, match="cannot be loaded"):
        bench.train()


def test_checkpoint_holds_no_pickle(bench: Bench) -> None:
    bench.train()
    kinds = {path.suffix for path in bench.folder().rglob("*") if path.is_file()}
    assert kinds <= {".safetensors", ".json"}
    state = json.loads((list(checkpoint.steps(bench.folder()))[-1] / "state.json").read_bytes())
    assert state["step"] == load_result(bench.folder()).steps


def test_weights_name_their_place(tmp_path: Path) -> None:
    base = tiny.save_base(tmp_path / "b")
    assert Weights(base).adapters == ()


def test_in_bfloat16_stages_of_an_adapter_and_of_all_weights_follow_each_other(
    tmp_path: Path,
) -> None:
    """accelerate keeps one format a process, and refused the second stage's autocast."""
    bench, model = Bench(tmp_path), Model.model_validate({"device": "cpu", "dtype": "bfloat16"})
    for kind in ("lora", "full", "lora"):
        stage = stage_settings(max_steps=1, name=kind, adapter={"kind": kind})
        result, _ = bench.train("run", settings=stage, model=model)
        assert result.steps == 1
        files.remove_folder(bench.folder("run", kind))
