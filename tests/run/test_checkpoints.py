from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.run.helpers import make_run, step, validated
from workbench.core.errors import UserError
from workbench.run import events
from workbench.run.checkpoints import checkpoints, find, newest, saved_last_ns
from workbench.run.folder import RunFolder
from workbench.run.log import EventLog

PRESET = """
[[data.source]]
path = "x"
[[train]]
name = "first"
[[train]]
name = "second"
"""


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path / "runs", "one", PRESET)


def save(run: RunFolder, stage: str, name: str, at_ns: int) -> Path:
    where = run.training(stage)
    folder = where / name if name.startswith("step-") else where / "adapters" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text("{}")
    os.utime(folder / "manifest.json", ns=(at_ns, at_ns))
    return folder


def log(run: RunFolder, stage: str, *told: events.Event) -> None:
    writer = EventLog(run.events_file)
    for event in told:
        writer.append(event, f"train:{stage}")
    writer.close()


def saved(step: int) -> events.CheckpointSaved:
    return events.CheckpointSaved(step=step, path=f"step-{step:06d}", elapsed_s=0.1)


def test_before_anything_is_saved(run: RunFolder) -> None:
    assert checkpoints(run) == [] and newest(run) is None and saved_last_ns(run) == 0
    with pytest.raises(
        UserError, match="this run has not saved any weights yet .workbench attach one"
    ):
        find(run, "best")


def test_the_last_stage_comes_first_and_steps_are_told(run: RunFolder) -> None:
    save(run, "first", "final", 1)
    for name, at in (("best", 20), ("last", 30), ("step-000020", 21), ("step-000030", 31)):
        save(run, "second", name, at)
    (run.training("second") / "tmp-step-000040").mkdir()
    (run.training("second") / "step-000040").mkdir()  # without a manifest: not whole
    better, worse = validated(20, 0.5), validated(30, 0.6)
    worse = events.Validated(**{**vars(worse), "best": False})
    log(run, "second", step(1), better, saved(20), step(30), worse, saved(30))
    found = [(one.stage, one.name, one.step) for one in checkpoints(run)]
    assert found == [
        ("second", "best", 20),
        ("second", "last", 30),
        ("second", "step-000030", 30),
        ("second", "step-000020", 20),
        ("first", "final", 0),
    ]
    assert find(run, "best").label == "second/best, step 20"
    assert find(run, "first/final").label == "first/final"
    assert find(run, "final").stage == "first", "the last stage that has one"
    assert find(run, "step-000020").label == "second/step-000020"
    latest = newest(run)
    assert latest and latest.name == "last" and saved_last_ns(run) == 31
    with pytest.raises(UserError, match="no checkpoint 'bests' .did you mean 'best'"):
        find(run, "bests")


def test_of_weights_that_are_the_same_the_adapter_is_taken(run: RunFolder) -> None:
    for name in ("best", "last", "step-000020"):
        save(run, "first", name, 5)
    log(run, "first", validated(20, 0.5), saved(20))
    latest = newest(run)
    assert latest and latest.name == "best"
