"""A run that is prepared and has one short training stage, and its worker in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests import tiny
from tests.pipeline.test_worker import pairs, state_of
from workbench.core.files import sha256
from workbench.pipeline import worker
from workbench.preset.loader import load
from workbench.run import events, folder
from workbench.run.folder import RunFolder
from workbench.run.lock import Lock
from workbench.run.log import EventLog, read
from workbench.runner.frozen_preset import freeze

STEPS = 8
PRESET = """
[model]
base = "{base}"
device = "cpu"
[data]
validation = 0.2
[[data.source]]
path = "{pairs}"
[[train]]
name = "sft"
sequence_length = 128
max_steps = 8
batch_size = 2
accumulation = 2
packing = false
save_every = 3.0
evaluate_every = 4.0
learning_rate = 1e-3
[train.adapter]
rank = 4
dropout = 0.1
[export]
formats = []
[evaluate]
prompts = ""
[watch]
prompts = []
"""


def prepared(home: Path) -> RunFolder:
    """A run in `home` whose data are prepared."""
    (home / "pairs.txt").write_text(pairs(20))
    base = tiny.save_base(home / "base", "qwen2")
    text = PRESET.replace("{base}", str(base)).replace("{pairs}", str(home / "pairs.txt"))
    (home / "tiny.toml").write_text(text)
    made = folder.create(home / "runs", "tiny")
    freeze(load(str(home / "tiny.toml")), made)
    assert work(made, "prepare") == 0, state_of(made).error
    return made


def set_processes(run: RunFolder, count: int) -> None:
    text = run.preset_file.read_text()
    assert "processes = 1" in text
    run.preset_file.write_text(text.replace("processes = 1", f"processes = {count}"))


def work(run: RunFolder, *stages: str, should_stop: Callable[[], bool] = lambda: False) -> int:
    """What the worker's main does, in this process."""
    lock, log = Lock(run.lock_file), EventLog(run.events_file)
    try:
        return worker.work(run, log, stages, should_stop)
    finally:
        log.close()
        lock.release()


def steps_of(run: RunFolder) -> list[events.Step]:
    """The steps that count, in order."""
    return list(state_of(run).stages["train:sft"].steps)


def losses(run: RunFolder) -> dict[str, list[float]]:
    """Losses of the steps and of the validations."""
    validated = [r.event for r in read(run.events_file) if isinstance(r.event, events.Validated)]
    return {
        "train": [step.loss for step in steps_of(run)],
        "validation": [event.loss for event in validated],
    }


def adapter(run: RunFolder) -> str:
    """The hash of what was trained."""
    return sha256(run.training("sft") / "adapters/final/adapter_model.safetensors")
