"""`packing = "auto"`: both ways are tried once, and the stage is then as if its preset said so."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import tiny
from tests.pipeline.training.helpers import Bench, rows, stage_settings
from tests.pipeline.training.test_stage import After
from workbench.core import files
from workbench.core.errors import Interrupted
from workbench.pipeline.training import model as models
from workbench.pipeline.training import packed_attention, packing
from workbench.pipeline.training.distributed.collectives import ProcessGroup
from workbench.pipeline.training.token_dataset import TokenDataset
from workbench.run import events

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

AUTO = stage_settings(packing="auto")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


class Trials:
    """A device on which the two ways take so many microseconds a token."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, packed: float, sorted_: float) -> None:
        self.count = 0

        def microseconds(*_: Any) -> tuple[float, float]:
            self.count += 1
            return packed, sorted_

        monkeypatch.setattr(packing, "microseconds", microseconds)


def said(told: list[events.Event]) -> list[str]:
    notes = [event.message for event in told if isinstance(event, events.Note)]
    return [note for note in notes if "packing" in note]


@pytest.mark.parametrize(("sorted_us", "packed_wins"), [(2.0, True), (0.91, True), (0.89, False)])
def test_the_run_is_that_of_a_preset_that_says_so(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, sorted_us: float, packed_wins: bool
) -> None:
    _, plain = bench.train("explicit", settings=stage_settings(packing=packed_wins))
    trials = Trials(monkeypatch, 1.0, sorted_us)
    _, told = bench.train("auto", settings=AUTO)
    assert files.sha256(bench.adapter("auto")) == files.sha256(bench.adapter("explicit"))
    assert trials.count == 1 and said(plain) == []
    how = "packing rows" if packed_wins else "grouping rows by length with padding"
    (note,) = said(told)
    assert note.endswith(f"grouped by length {sorted_us:.3g}; {how}")


def test_what_was_chosen_is_kept_on_resuming(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine, or the same in another mood, would find the other way quicker."""
    Trials(monkeypatch, 1.0, 0.5)
    bench.train("whole", settings=AUTO)
    with pytest.raises(Interrupted):
        bench.train("stopped", settings=AUTO, should_stop=After(5))
    trials = Trials(monkeypatch, 0.5, 1.0)
    _, told = bench.train("stopped", settings=AUTO)
    assert trials.count == 0 and said(told) == []
    assert any(isinstance(event, events.Resumed) for event in told)
    assert files.sha256(bench.adapter("stopped")) == files.sha256(bench.adapter("whole"))


@pytest.mark.parametrize("damage", ["", "[1]", '{"packing": false, "lengths": "of other rows"}'])
def test_a_choice_that_is_none_or_for_other_rows_is_made_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    path = bench.folder() / packing.NAME
    path.parent.mkdir(parents=True)
    path.write_text(damage)
    trials = Trials(monkeypatch, 1.0, 2.0)
    bench.train(settings=AUTO)
    found = json.loads(path.read_bytes())
    assert trials.count == 1 and found["packing"] is True
    assert (found["packed_us_a_token"], found["sorted_us_a_token"]) == (1.0, 2.0)


@dataclass(frozen=True)
class Other(ProcessGroup):
    """A rank that hears from the first one."""

    heard: bool = False

    def agree(self, value: bool) -> bool:
        return self.heard


@pytest.mark.parametrize("heard", [True, False])
def test_the_other_ranks_do_as_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: bool
) -> None:
    trials = Trials(monkeypatch, 1.0, 2.0)
    examples, other = TokenDataset.of(rows(9)), Other(rank=1, size=2, heard=heard)
    settled = packing.choose_packing(AUTO, examples, None, tmp_path, lambda event: None, other)
    assert settled == stage_settings(packing=heard)
    assert trials.count == 0 and not (tmp_path / packing.NAME).exists()


def test_without_the_memory_to_try_rows_are_laid_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(packing, "microseconds", fails)
    told: list[events.Event] = []
    settled = packing.choose_packing(
        AUTO, TokenDataset.of(rows(9)), None, tmp_path, told.append, ProcessGroup()
    )
    assert settled.packing is True
    assert "not enough memory to try both" in said(told)[0]


@pytest.mark.parametrize("kind", ["qwen2", "gemma2", "gemma3"])
@pytest.mark.parametrize("last_layers", [0, 1])
def test_a_trial_leaves_nothing_behind(kind: str, last_layers: int) -> None:
    network = tiny.model(kind)
    network.set_attn_implementation(packed_attention.NAME)
    adapter = models.Adapter(rank=2, last_layers=last_layers)
    network = models.attach_adapter(network, adapter, seed=1)
    before = {name: p.clone() for name, p in network.named_parameters()}
    layers = network.config.num_hidden_layers
    found = packing.microseconds(AUTO, TokenDataset.of(rows(30)), network)
    assert all(0 < us < 1e6 for us in found)
    assert network.config.num_hidden_layers == layers
    for name, parameter in network.named_parameters():
        assert parameter.grad is None and torch.equal(parameter, before[name])


def test_only_the_first_layers_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny.model("llama")
    network.set_attn_implementation(packed_attention.NAME)
    monkeypatch.setattr(packing, "LAYERS", 1)
    calls = [0, 0]
    for n, layer in enumerate(network.model.layers):

        def count(*_: Any, n: int = n) -> None:
            calls[n] += 1

        layer.register_forward_hook(count)
    packing.microseconds(AUTO, TokenDataset.of(rows(30)), network)
    assert calls[0] > 0 and calls[1] == 0


def test_both_ways_are_tried_on_short_rows_and_on_long_ones() -> None:
    lengths = TokenDataset.of(rows(200, longest=300)).lengths
    examples, cpu = TokenDataset.of(rows(200, longest=300)), torch.device("cpu")
    for packed_wins in (True, False):
        stage = stage_settings(packing=packed_wins, batch_tokens=4096)
        samples = packing._samples(stage, examples, cpu)
        assert len(samples) == packing.SAMPLES
        longest = [int(lengths[list(some)].max()) for some in samples]
        assert packed_wins or longest == sorted(longest)
        assert packed_wins or longest[0] < 100 < 250 < longest[-1]
        most = max(int(lengths[list(some)].sum()) for some in samples)
        assert most <= packing.POSITIONS_ELSEWHERE + 300
