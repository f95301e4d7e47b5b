"""What is looked at while training: when, what is told, and that the bits stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests import tiny
from tests.pipeline.training.helpers import Bench, stage_settings
from tests.pipeline.training.test_stage import After
from workbench.core import files
from workbench.core.errors import Interrupted
from workbench.core.sampling import SamplingParams
from workbench.objectives.base import SamplePrompt
from workbench.pipeline.models.weights import load as load_result
from workbench.pipeline.training.monitor import (
    NO_MONITORING,
    MonitorPlan,
    TrainingMonitor,
    general_examples,
    general_text,
)
from workbench.pipeline.training.sample_generation import SampleSettings
from workbench.pipeline.training.token_dataset import TokenDataset
from workbench.run import events
from workbench.tokenization.tokenizer import from_backend

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def general() -> TokenDataset:
    return general_examples(
        from_backend(tiny.tokenizer().backend_tokenizer), separator_id=0, longest=9999
    )


def watched(folder: Path | None = None, share: float = 1e9) -> MonitorPlan:
    sampling = SamplingParams(temperature=0.8, max_tokens=6)
    asking = SampleSettings(sampling, tiny.tokenizer().decode, stop_ids=[2], pad_id=3)
    return MonitorPlan(share, folder, [SamplePrompt("a \x1b[31m", [5, 6, 7])], asking, general())


def looked_at(told: list[events.Event], kind: type[Any] = events.Sampled) -> list[int]:
    return [event.step for event in told if isinstance(event, kind)]


def test_base_first_then_every_evaluation_and_the_bits_stay(bench: Bench, tmp_path: Path) -> None:
    stage = stage_settings(evaluate_every=4.0)
    plain, _ = bench.train("plain", settings=stage)
    _, told = bench.train("watched", settings=stage, monitor_plan=watched(tmp_path / "samples"))
    steps = [0, *(step for step in range(4, plain.steps, 4)), plain.steps]
    assert looked_at(told) == looked_at(told, events.GeneralMeasured) == steps
    assert files.sha256(bench.adapter("plain")) == files.sha256(bench.adapter("watched"))
    names = [path.name for path in sorted((tmp_path / "samples").iterdir())]
    assert names == [f"step-{step:06d}.txt" for step in steps]
    text = (tmp_path / "samples" / names[0]).read_text()
    assert text.startswith("> a \\x1b[31m\n\n") and "\x1b" not in text


def test_resumed_the_bits_are_the_same_and_step_0_is_not_asked_again(bench: Bench) -> None:
    bench.train("whole", monitor_plan=watched())
    with pytest.raises(Interrupted):
        bench.train("stopped", should_stop=After(5), monitor_plan=watched())
    _, told = bench.train("stopped", monitor_plan=watched())
    assert 0 not in looked_at(told) and looked_at(told)
    assert (
        load_result(bench.folder("stopped")).general == load_result(bench.folder("whole")).general
    )
    for which in ("best", "last", "final"):
        ours, theirs = bench.adapter("stopped", which), bench.adapter("whole", which)
        assert files.sha256(ours) == files.sha256(theirs)


def test_answers_are_given_without_validation_rows_too(bench: Bench) -> None:
    TokenDataset.of([]).save(bench.validation_file)
    _, told = bench.train(settings=stage_settings(evaluate_every=4.0), monitor_plan=watched())
    assert len(looked_at(told)) > 2
    assert not [event for event in told if isinstance(event, events.Validated)]


def test_without_memory_for_answers_training_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_much(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("workbench.pipeline.training.monitor.generate_samples", too_much)
    result, told = bench.train(monitor_plan=watched())
    notes = [event.message for event in told if isinstance(event, events.Note)]
    assert notes == ["watch.prompts are disabled from here on: out of memory"]
    assert result.steps == bench.train("again")[0].steps and not looked_at(told)


def test_the_general_loss_is_that_of_its_text(bench: Bench) -> None:
    _, told = bench.train(settings=stage_settings(learning_rate=1e-9), monitor_plan=watched())
    measured = [event for event in told if isinstance(event, events.GeneralMeasured)]
    assert measured[0].tokens == general().targets.sum() > 1000
    model, total = tiny.model(), 0.0
    for row in range(len(general())):
        ids = general().ids(row)[None]
        with torch.no_grad():
            total += float(model(input_ids=ids, labels=ids).loss) * (ids.shape[1] - 1)
    assert measured[0].loss == pytest.approx(total / measured[0].tokens, abs=1e-4)
    assert measured[-1].loss == pytest.approx(measured[0].loss, abs=1e-4)
    assert load_result(bench.folder()).general == (measured[0].loss, measured[-1].loss)


class Clocked:
    """Looks of a known cost, without a model: `watching` is timed by a clock of our own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cost_s: float, share: float) -> None:
        self.now, self.told = 0.0, list[events.Event]()
        monkeypatch.setattr(
            "workbench.pipeline.training.monitor.time.perf_counter", lambda: self.now
        )

        def loss_of(examples: TokenDataset) -> float:
            self.now += cost_s
            return 1.0

        only = MonitorPlan(share, general=general())
        self.watcher = TrainingMonitor(only, None, loss_of, self.told.append)


def test_looks_keep_to_their_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clocked(monkeypatch, cost_s=1.0, share=0.05)
    clock.watcher.look(0, 0.0, always=True)
    for step in range(1, 101):  # a second of training each
        clock.watcher.look(step, float(step), always=step == 100)
    assert looked_at(clock.told, events.GeneralMeasured) == [0, 40, 60, 80, 100]


def test_nothing_to_look_at_costs_nothing(bench: Bench) -> None:
    _, told = bench.train(monitor_plan=NO_MONITORING)
    assert not looked_at(told) and not looked_at(told, events.GeneralMeasured)


def test_the_general_text_is_plain_and_small() -> None:
    text = general_text()
    assert 4000 < len(text.encode()) < 8000 and text == text.strip() + "\n"
