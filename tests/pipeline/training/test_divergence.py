"""A number that is none stops the training: said at once, with the last good checkpoint kept."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.pipeline.training.helpers import Bench, stage_settings
from tests.pipeline.training.test_stage import After
from workbench.core import files
from workbench.core.errors import Interrupted, RunFailed
from workbench.pipeline.training import checkpoint
from workbench.pipeline.training.loop import TrainingLoop
from workbench.run import events
from workbench.run.log import EventLog

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

AT = 6  # steps that go well; 4 is the last one saved by the schedule
Break = Callable[[TrainingLoop, float], float]


def loss(loop: TrainingLoop, value: float) -> float:
    return math.nan


def endless_loss(loop: TrainingLoop, value: float) -> float:
    return math.inf


def gradient(loop: TrainingLoop, value: float) -> float:
    next(iter(loop.parameters.values())).grad[0, 0] = math.inf
    return value


@pytest.mark.parametrize(
    ("wrong", "what"), [(loss, "loss"), (endless_loss, "loss"), (gradient, "gradient")]
)
def test_the_step_before_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: Break, what: str
) -> None:
    bench = Bench(tmp_path)
    with pytest.raises(Interrupted):
        bench.train("stopped", should_stop=After(AT))
    strike(monkeypatch, wrong)
    log = EventLog(tmp_path / "events.jsonl")
    told: list[events.Event] = []

    def emit(event: events.Event) -> None:
        told.append(event)
        log.append(event, "train:sft")

    message = (
        f"the {what} of step 7 is not a finite number; the last good checkpoint is step-000006"
    )
    with pytest.raises(RunFailed, match=message):
        bench.train(emit=emit)
    said = [event for event in told if isinstance(event, events.Diverged)]
    assert said == [
        events.Diverged(step=AT, what=f"the {what} of step 7", checkpoint="step-000006")
    ]
    for name in ("trainable", "optimizer"):
        kept = [bench.folder(n) / f"step-000006/{name}.safetensors" for n in ("run", "stopped")]
        assert files.sha256(kept[0]) == files.sha256(kept[1]), "as if it had been stopped there"
    assert [path.name for path in checkpoint.steps(bench.folder())] == [
        "step-000004",
        "step-000006",
    ]
    for line in (tmp_path / "events.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} in the log"))


def strike(monkeypatch: pytest.MonkeyPatch, wrong: Break) -> None:
    plain = TrainingLoop._accumulate

    def broken(self: TrainingLoop, *args: Any) -> float:
        value = plain(self, *args)
        return wrong(self, value) if self.counters.step == AT else value

    monkeypatch.setattr(TrainingLoop, "_accumulate", broken)


def test_weights_that_are_no_numbers_are_never_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The optimizer's eighth step, the one before a save, spoils one of them."""
    bench, plain = Bench(tmp_path), torch.optim.AdamW.step
    steps = []

    def spoils(self: torch.optim.AdamW, *args: Any) -> Any:
        done = plain(self, *args)
        steps.append(1)
        if len(steps) == 8:
            with torch.no_grad():
                self.param_groups[0]["params"][0][0, 0] = math.nan
        return done

    monkeypatch.setattr(torch.optim.AdamW, "step", spoils)
    with pytest.raises(RunFailed, match="a weight after step 8 .* checkpoint is step-000004"):
        bench.train(settings=stage_settings(evaluate_every=0.0))
    found = list(checkpoint.steps(bench.folder()))
    assert [path.name for path in found] == ["step-000004"]
    last = load_file(bench.adapter("run", "last"))
    assert all(bool(torch.isfinite(tensor).all()) for tensor in last.values())


def test_a_validation_loss_that_is_no_number_is_no_best_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    monkeypatch.setattr(TrainingLoop, "loss_over", lambda *_: math.nan)
    with pytest.raises(RunFailed, match="the validation loss after step 5 is not a finite number"):
        bench.train()
    assert not bench.adapter("run", "best").exists()


def test_before_anything_is_saved_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainingLoop, "_accumulate", lambda *_: math.nan)
    with pytest.raises(RunFailed, match="loss of step 1 .* there is no checkpoint yet"):
        Bench(tmp_path).train()
