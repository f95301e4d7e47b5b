"""float16 with a scaled loss, on the CPU, which computes in it too: overflows cost no step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.pipeline.training.helpers import Bench, stage_settings
from tests.pipeline.training.test_stage import After, losses
from workbench.core import files
from workbench.core.errors import Interrupted, RunFailed
from workbench.pipeline.training import loss_scale
from workbench.pipeline.training.checkpoint import Counters
from workbench.pipeline.training.loop import TrainingLoop
from workbench.pipeline.training.loss_scale import LossScale
from workbench.preset.schema import Model
from workbench.run import events

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

HALF = Model.model_validate({"device": "cpu", "dtype": "float16"})


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_half_precision_trains_as_float32_does(tmp_path: Path, kind: str) -> None:
    bench = Bench(tmp_path)
    rate = 5e-3 if kind == "lora" else 5e-4
    stage = stage_settings(adapter={"kind": kind, "dropout": 0.0}, learning_rate=rate)
    _, exact = bench.train("float32", settings=stage)
    _, told = bench.train("float16", settings=stage, model=HALF)
    assert losses(told) == pytest.approx(losses(exact), abs=0.02)
    planned = next(event for event in told if isinstance(event, events.TrainingPlanned))
    assert planned.dtype == ("float16" if kind == "lora" else "float32")


def test_an_overflow_costs_no_step_and_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a scale that is far too large the steps are those of one that fits."""
    bench = Bench(tmp_path)
    _, whole = bench.train("fits", model=HALF)
    monkeypatch.setattr(
        "workbench.pipeline.training.loop.Counters",
        lambda plan: Counters(plan=plan, loss_scale=2.0**40),
    )
    scales, plain = [], TrainingLoop._report

    def report(self: TrainingLoop, *args: Any) -> None:
        scales.append(self.counters.loss_scale)
        plain(self, *args)

    monkeypatch.setattr(TrainingLoop, "_report", report)
    _, told = bench.train("large", model=HALF)
    assert scales[0] < 2.0**40, "it never overflowed, so nothing was shown"
    assert losses(told) == pytest.approx(losses(whole), abs=5e-3)


def test_resumed_the_bits_and_the_scale_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_scale, "GROW_AFTER", 3)  # so that the scale moves
    bench = Bench(tmp_path)
    bench.train("whole", model=HALF)
    with pytest.raises(Interrupted):
        bench.train("stopped", should_stop=After(5), model=HALF)
    bench.train("stopped", model=HALF)
    assert files.sha256(bench.adapter("stopped")) == files.sha256(bench.adapter("whole"))


def test_a_gradient_that_no_scale_can_save_is_a_divergence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainingLoop, "_clip", lambda self: float("inf"))
    with pytest.raises(RunFailed, match="the gradient of step 1 is not a finite number"):
        Bench(tmp_path).train(model=HALF)


def test_the_scale_halves_doubles_and_rests() -> None:
    counters = Counters(plan="")
    scale = LossScale(lambda: counters, used=True)
    assert not scale.overflowed(1.0, 2.0) and not scale.overflowed(float("nan"), float("nan"))
    assert scale.overflowed(1.0, float("inf")) and counters.loss_scale == 32768.0
    for _ in range(loss_scale.GROW_AFTER):
        scale.stepped()
    assert (counters.loss_scale, counters.steps_in_range) == (65536.0, 0)
    weight = torch.nn.Parameter(torch.ones(3))
    scale.up((weight * 2).sum()).backward()
    scale.down([weight])
    assert weight.grad is not None and weight.grad.tolist() == [2.0, 2.0, 2.0]
    rests = LossScale(lambda: counters, used=False)
    assert not rests.overflowed(1.0, float("inf")) and float(rests.up(torch.tensor(3.0))) == 3.0


def test_in_float32_nothing_is_scaled(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    result, _ = bench.train(settings=stage_settings(max_steps=2))
    text = next(bench.folder().glob("step-*/state.json")).read_text()
    assert '"steps_in_range": 0' in text and result.steps == 2
