"""QLoRA and 8-bit optimizers through bitsandbytes, which computes on the CPU too."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests import tiny
from tests.pipeline.training.helpers import Bench, stage_settings
from workbench.core import files
from workbench.core.errors import Interrupted
from workbench.pipeline.models.weights import Weights
from workbench.pipeline.training.stage import train_stage
from workbench.preset.schema import Model
from workbench.run import events

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def train(bench: Bench, name: str, quantization: str, **settings: object) -> list[events.Event]:
    told: list[events.Event] = []
    train_stage(
        stage_settings(**settings),
        Model.model_validate({"device": "cpu", "quantization": quantization}),
        Weights(bench.base),
        train=bench.train_file,
        validation=bench.validation_file,
        tokenizer=tiny.tokenizer(),
        folder=bench.folder(name),
        emit=told.append,
        should_stop=lambda: False,
    )
    return told


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_a_quantized_base_trains_its_adapter(tmp_path: Path, quantization: str) -> None:
    bench = Bench(tmp_path)
    told = train(bench, "run", quantization, epochs=6.0)
    losses = [event.loss for event in told if isinstance(event, events.Step)]
    assert sum(losses[-5:]) < sum(losses[:5]) - 0.5
    assert bench.adapter().exists()
    planned = next(event for event in told if isinstance(event, events.TrainingPlanned))
    assert planned.total_parameters > planned.trainable_parameters * 5


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_evaluating_does_not_change_the_training_of_four_bits(tmp_path: Path, kind: str) -> None:
    """On some processors bitsandbytes packs weights on evaluation, and loses their gradient."""
    bench = Bench(tmp_path, kind)
    for name, every in (("often", 1.0), ("never", 0.0)):
        train(bench, name, "nf4", evaluate_every=every, epochs=1.0)
    assert files.sha256(bench.adapter("often")) == files.sha256(bench.adapter("never"))


@pytest.mark.parametrize("optimizer", ["adamw_8bit", "paged_adamw_8bit"])
def test_eight_bit_optimizers_resume_exactly(tmp_path: Path, optimizer: str) -> None:
    bench = Bench(tmp_path)
    # The states of tensors below 4,096 elements stay in 32 bits; rank 64 makes larger ones.
    stage = stage_settings(optimizer=optimizer, epochs=1.0, adapter={"rank": 64})
    bench.train("whole", settings=stage)
    left = iter([False] * 4 + [True])
    with pytest.raises(Interrupted):
        bench.train("stopped", settings=stage, should_stop=lambda: next(left))
    bench.train("stopped", settings=stage)
    assert files.sha256(bench.adapter("stopped")) == files.sha256(bench.adapter("whole"))


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_a_later_stage_stands_on_an_adapter_that_cannot_be_merged(
    tmp_path: Path, quantization: str
) -> None:
    """It begins where the first one ended, trains its own alone, and hands on both."""
    bench = Bench(tmp_path)
    model = Model.model_validate({"device": "cpu", "quantization": quantization})
    still = {"dropout": 0.0}
    one = stage_settings(name="one", adapter=still, evaluate_every=0.0)
    first, told = bench.train(settings=one, model=model)
    kept = files.sha256(bench.adapter("run", "final", "one"))
    two = stage_settings(name="two", adapter=still, learning_rate=1e-9)
    second, after = bench.train(settings=two, weights=first.take("last"), model=model)
    assert [path.parent.parent.name for path in second.weights.adapters] == ["one", "two"]
    ended = [e.loss for e in told if isinstance(e, events.Validated)][-1]
    began = [e.loss for e in after if isinstance(e, events.Validated)][0]
    assert began == pytest.approx(ended, abs=1e-4)
    assert files.sha256(bench.adapter("run", "final", "one")) == kept
    names = load_file(bench.adapter("run", "final", "two"))
    assert len(names) == 2 * 2 * 7 and not any("beneath" in name for name in names)
    plans = [next(e for e in t if isinstance(e, events.TrainingPlanned)) for t in (told, after)]
    assert plans[0].trainable_parameters == plans[1].trainable_parameters
