"""A stage that begins on the merged model of the stages before: LoRA, QLoRA, DoRA; resumed too."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.pipeline.test_worker import of_kind, run, state_of, work
from workbench.core import files
from workbench.pipeline import worker
from workbench.pipeline.export.merged_weights import MergedWeights
from workbench.pipeline.models.weights import Weights, load
from workbench.pipeline.training.loop import TrainingLoop
from workbench.run import events, folder
from workbench.run.folder import RunFolder
from workbench.run.lock import Lock
from workbench.run.log import EventLog, read

__all__ = ["run"]
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture
def merging(run: RunFolder) -> RunFolder:  # noqa: F811
    """The run of two stages, both LoRA, the second on the merged first; nothing is evaluated."""
    text = run.preset_file.read_text()
    text = text.replace('kind = "full"', 'kind = "lora"')
    text = text.replace('prompts = "validation"', 'prompts = ""')
    head, _, tail = text.rpartition('continue = "new"')
    run.preset_file.write_text(f'{head}continue = "merge"{tail}')
    return run


def change(made: RunFolder, **words: str) -> None:
    text = made.preset_file.read_text()
    for old, new in words.items():
        text = text.replace(*(f'{old.replace("_", " ")} = "{value}"' for value in new.split()))
    made.preset_file.write_text(text)


@pytest.mark.parametrize(
    "words", [{}, {"quantization": "none nf4"}, {"kind": "lora dora", "quantization": "none nf4"}]
)
def test_the_second_stage_stands_on_the_merged_first(
    merging: RunFolder, words: dict[str, str]
) -> None:
    """Beside quantized weights DoRA cannot be stacked, but on merged ones it can."""
    change(merging, **words)
    assert work(merging) == 0, state_of(merging).error
    first, second = (load(merging.training(name)) for name in ("raw", "sft"))
    assert len(first.weights.adapters) == len(second.weights.adapters) == 1
    assert second.weights.base == merging.training("sft") / "merged"
    assert same(Weights(second.weights.base), first.weights)
    state = state_of(merging)
    assert state.parity["f16"].passed and state.parity["f16"].kl_mean <= 1e-5
    assert any(
        note.message.startswith("merged the adapters so far into a new base model, ")
        for note in state.notes
    )
    seen = state.last_seq
    assert work(merging) == 0
    again = [record for record in read(merging.events_file) if record.seq > seen]
    assert not of_kind(again, events.StageStarted), "nothing is done twice"


@pytest.mark.parametrize("how", ["new", "carry", "merge"])
@pytest.mark.parametrize("which", ["best", "last"])
def test_a_stage_starts_from_the_best_or_the_last_weights(
    merging: RunFolder, how: str, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Carried on, merged or with a fresh adapter on top. The first step is the best, as it were;
    the second stage hardly moves."""
    monkeypatch.setattr(TrainingLoop, "loss_over", lambda self, *_: float(self.counters.step))
    parts = merging.preset_file.read_text().split("[[train]]")
    assert len(parts) == 3
    parts[1] = set_key(set_key(parts[1], "learning_rate", "1e-2"), "evaluate_every", "1.0")
    parts[1] = set_key(parts[1], "rank", "4")
    parts[2] = set_key(set_key(parts[2], "learning_rate", "1e-12"), "start_from", f'"{which}"')
    parts[2] = set_key(parts[2], "continue", f'"{how}"')
    merging.preset_file.write_text("[[train]]".join(parts))
    assert work(merging, "prepare", "train") == 0, state_of(merging).error
    first, second = (load(merging.training(name)) for name in ("raw", "sft"))
    assert first.best_step < first.steps, "else best and last are the same"
    wanted = {"best": first.weights, "last": first.last}
    for name, weights in wanted.items():
        assert near(second.last, weights) == (name == which)
    assert len(second.last.adapters) == (2 if how == "new" else 1)


def set_key(table: str, key: str, value: str) -> str:
    """The table of a frozen preset, which has every key, with another value."""
    changed, count = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", table)
    assert count == 1, key
    return changed


def near(one: Weights, two: Weights) -> bool:
    """Whether they are the same model, but for a learning rate of next to nothing."""
    ours, theirs = (MergedWeights(weights, tied_in_config=True) for weights in (one, two))
    found = [(rows(ours, name), rows(theirs, name)) for name in ours.names]
    return all(np.allclose(a, b, rtol=0, atol=1e-5) for a, b in found)


def same(one: Weights, two: Weights) -> bool:
    ours, theirs = (MergedWeights(weights, tied_in_config=True) for weights in (one, two))
    assert set(ours.names) == set(theirs.names)
    return all((rows(ours, name) == rows(theirs, name)).all() for name in ours.names)


def rows(merged: MergedWeights, name: str) -> Any:
    tensor = merged.open(name)
    return tensor.rows(0, tensor.shape[0])


def test_stopped_and_resumed_it_is_merged_once_and_the_bits_are_the_same(
    merging: RunFolder, tmp_path: Path
) -> None:
    assert work(merging, "prepare", "train") == 0
    adapter = "adapters/final/adapter_model.safetensors"
    whole = files.sha256(merging.training("sft") / adapter)
    twin = folder.create(tmp_path / "runs", "twin")
    twin.preset_file.write_bytes(merging.preset_file.read_bytes())
    for place in ("tmp-merged", "step-000002"):  # amid the merging, and amid the steps after it
        assert stopped(twin, twin.training("sft") / place) == 130
    made = (twin.training("sft") / "merged/manifest.json").stat().st_mtime_ns
    assert work(twin, "prepare", "train") == 0, state_of(twin).error
    assert (twin.training("sft") / "merged/manifest.json").stat().st_mtime_ns == made
    assert files.sha256(twin.training("sft") / adapter) == whole


def stopped(made: RunFolder, at: Path) -> int:
    """Work until there is something at that place."""
    lock, log = Lock(made.lock_file), EventLog(made.events_file)
    try:
        return worker.work(made, log, ("prepare", "train"), at.exists)
    finally:
        log.close()
        lock.release()


def test_a_merged_model_of_other_adapters_is_made_anew(merging: RunFolder) -> None:
    assert work(merging, "prepare", "train") == 0
    merged = merging.training("sft") / "merged"
    before = files.sha256(merged / "model.safetensors")
    note = merged.with_name("merged.json")
    told = json.loads(note.read_text()) | {"adapters": ["of another training"]}
    note.write_text(json.dumps(told))
    (merged / "model.safetensors").write_bytes(b"damaged")
    assert work(merging, "prepare", "train") == 0, state_of(merging).error
    assert files.sha256(merged / "model.safetensors") == before
