"""Memory: measured on the worst batches, near the estimate; halved where it does not suffice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.pipeline.training.helpers import Bench, Row, rows, stage_settings
from tests.pipeline.training.test_stage import After, losses
from workbench.core import files
from workbench.core.errors import Interrupted, RunFailed
from workbench.pipeline.models.base_shape import read_shape
from workbench.pipeline.training.batch_plan import split_micro_batch
from workbench.pipeline.training.device import out_of_memory
from workbench.pipeline.training.loop import TrainingLoop
from workbench.pipeline.training.losses.cross_entropy import CrossEntropyLoss
from workbench.pipeline.training.memory_check import (
    batch_work,
    estimate_stage_memory,
    largest_micro_batches,
    uncovered_validation_batches,
)
from workbench.pipeline.training.token_dataset import MicroBatchTensors, TokenDataset
from workbench.pipeline.training.training_plan import plan_batches, validation_plan
from workbench.preset.schema import Model
from workbench.run import events

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

NO_DROPOUT = {"dropout": 0.0}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


class Small:
    """A device whose memory ends at so many positions; it says so as torch does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, holds: int, from_call: int = 0) -> None:
        self.holds, self.from_call, self.calls, self.refused = holds, from_call, 0, 0
        plain = CrossEntropyLoss.forward

        def forward(module: CrossEntropyLoss, batch: MicroBatchTensors) -> Any:
            self.calls += 1
            if batch.input_ids.numel() > self.holds and self.calls > self.from_call:
                self.refused += 1
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.\nmore")
            return plain(module, batch)

        monkeypatch.setattr(CrossEntropyLoss, "forward", forward)


def warnings(told: list[events.Event]) -> list[str]:
    notes = [event for event in told if isinstance(event, events.Note)]
    return [note.message for note in notes if note.level == "warning"]


@pytest.mark.parametrize("packing", [True, False])
def test_halved_batches_give_the_same_steps(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, packing: bool
) -> None:
    stage = stage_settings(packing=packing, adapter=NO_DROPOUT)
    _, whole = bench.train("whole", settings=stage)
    device = Small(monkeypatch, holds=70)
    _, told = bench.train("small", settings=stage)
    assert device.refused >= 1
    assert losses(told) == pytest.approx(losses(whole), abs=1e-5)
    said = warnings(told)[0]
    assert said.startswith("out of memory in step 1: micro-batches are split into 2 parts")
    assert "Tried to allocate 9 GiB" in said and "\n" not in said


def test_parts_are_kept_on_resuming(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    Small(monkeypatch, holds=70)
    _, whole = bench.train("whole")
    with pytest.raises(Interrupted):
        bench.train("stopped", should_stop=After(5))
    device = Small(monkeypatch, holds=70)
    _, rest = bench.train("stopped")
    assert device.refused == 0 and losses(rest) == losses(whole)[5:]
    assert files.sha256(bench.adapter("stopped")) == files.sha256(bench.adapter("whole"))


def test_in_the_middle_of_a_run_and_in_the_middle_of_a_step(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = stage_settings(batch_size=2, accumulation=4, packing=False, adapter=NO_DROPOUT)
    _, whole = bench.train("whole", settings=stage)
    Small(monkeypatch, holds=60, from_call=15)
    _, told = bench.train("small", settings=stage)
    assert losses(told) == pytest.approx(losses(whole), abs=1e-5)
    assert warnings(told)[0].startswith("out of memory in step 4: ")


def test_when_a_row_alone_does_not_fit_it_says_what_to_change(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    Small(monkeypatch, holds=3)
    with pytest.raises(RunFailed, match="out of memory in step 1: .* .lower sequence_length"):
        bench.train()


def test_measuring_changes_no_bit(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.train("measured")
    monkeypatch.setattr(TrainingLoop, "_measure_memory", lambda self: None)
    bench.train("not")
    assert files.sha256(bench.adapter("measured")) == files.sha256(bench.adapter("not"))


def test_the_worst_are_those_with_most_positions_and_most_to_learn(bench: Bench) -> None:
    all_masked = Row([5] * 40, [False] * 39 + [True])
    TokenDataset.of([*rows(20, longest=12), all_masked, all_masked]).save(bench.train_file)
    examples, held_out = (
        TokenDataset.load(bench.train_file),
        TokenDataset.load(bench.validation_file),
    )
    stage = stage_settings(packing=False, batch_size=2)
    plan, _ = plan_batches(stage, examples, validation=True)
    most, learnt = largest_micro_batches(plan, examples)
    assert set(most) == {20, 21} and set(learnt).isdisjoint(most)
    work = batch_work(plan, examples, validation_plan(held_out, stage), held_out)
    assert (work.tokens, work.longest) == (80, 40)
    assert work.trained == examples.targets[list(learnt)].sum()
    assert work.validation_tokens > 0 and work.validation_trained == held_out.targets.sum()


def test_a_validation_pass_is_tried_only_where_training_needs_no_more(bench: Bench) -> None:
    """Beside a training pass over as many positions, learnt tokens and as long a row it is less."""
    examples, stage = TokenDataset.load(bench.train_file), stage_settings()
    plan, _ = plan_batches(stage, examples, validation=True)
    few, learns_more = rows(2, seed=1), [Row([5] * 60, [True] * 60)] * 4
    for given, tried in ((few, 0), (learns_more, 1), ([*few, Row([5] * 41, [False] * 41)], 1)):
        held_out = TokenDataset.of(given)
        asked = validation_plan(held_out, stage)
        assert asked and len(uncovered_validation_batches(asked, held_out, plan, examples)) == tried


def test_one_batch_that_is_the_worst_in_both_ways_is_tried_once(bench: Bench) -> None:
    examples = TokenDataset.of([Row([5] * 30, [False] + [True] * 29), *rows(9, longest=12)])
    plan, _ = plan_batches(stage_settings(batch_size=1, packing=False), examples, validation=True)
    assert largest_micro_batches(plan, examples) == [(0,)]


def test_rows_are_parted_evenly_in_order() -> None:
    lengths = TokenDataset.of([Row([1] * n, [True] * n) for n in (9, 1, 1, 1, 6, 6)]).lengths
    assert split_micro_batch((0, 1, 2, 3, 4, 5), lengths, 2) == [(0, 1, 2, 3), (4, 5)]
    assert split_micro_batch((0, 4), lengths, 8) == [(0,), (4,)]
    assert split_micro_batch((3, 2), lengths, 1) == [(3, 2)]


@pytest.mark.parametrize(
    ("error", "is_it"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 12"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (MemoryError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("DefaultCPUAllocator: can't allocate memory"), False),
    ],
)
def test_ways_to_say_that_memory_does_not_suffice(error: Exception, is_it: bool) -> None:
    assert out_of_memory(error) == is_it


def test_a_real_failure_to_allocate_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 62, dtype=torch.uint8)
    assert out_of_memory(caught.value)


def test_a_base_of_unknown_make_is_not_estimated(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    for text in ("{", "[]", "{}", '{"hidden_size": "x"}', '{"hidden_size": 8}'):
        config.write_text(text)
        assert estimate_stage_memory(read_shape(config), stage_settings(), Model()) is None
    assert (
        estimate_stage_memory(read_shape(tmp_path / "none.json"), stage_settings(), Model()) is None
    )


MEASURE = """
import json, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from tests import tiny
tiny.COMMON |= dict(hidden_size=256, intermediate_size=704, num_hidden_layers=4)
from tests.pipeline.training.helpers import Bench, rows, stage_settings
from workbench.pipeline.training.token_dataset import TokenDataset
from workbench.run import events
bench = Bench(Path(sys.argv[1]))
TokenDataset.of(rows(60, longest=120)).save(bench.train_file)
def emit(event):
    if isinstance(event, events.MemoryMeasured):
        print(json.dumps(event.fields()))
        sys.exit()
settings = json.loads(sys.argv[2])
bench.train(settings=stage_settings(batch_tokens=1024, sequence_length=128, **settings), emit=emit)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the heap of glibc is what was measured")
@pytest.mark.parametrize(
    "settings",
    [
        {},
        pytest.param({"adapter": {"kind": "full"}}, marks=pytest.mark.slow),
        pytest.param({"gradient_checkpointing": True}, marks=pytest.mark.slow),
    ],
)
def test_the_estimate_is_near_what_a_process_takes(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    command = [sys.executable, "-c", MEASURE, str(tmp_path), json.dumps(settings)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["peak_bytes"] == pytest.approx(told["estimated_bytes"], rel=0.3)
    work = told["parts"]["activations"] + told["parts"]["allocator"]
    assert work > 100 << 20, "the batch is what is measured, not the libraries"
    assert told["free_bytes"] < told["device_bytes"]
