"""`workbench resume RUN --epochs +1`: what is written, and what is refused."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.commands.helpers import FAKE_WORKER
from tests.run.helpers import step
from tests.run.test_state import PLAN, STAGE
from workbench.cli import main
from workbench.core.errors import UserError
from workbench.preset.loader import parse
from workbench.preset.rendering import to_toml
from workbench.run import events, folder, launch
from workbench.run.folder import RunFolder
from workbench.run.log import EventLog
from workbench.runner.frozen_preset import extend

TEXT = """
[[data.source]]
path = "a.txt"
[[train]]
name = "first"
[[train]]
name = "sft"
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "runs"))
    made = folder.create(tmp_path / "runs", "one", "one")
    made.preset_file.write_text(to_toml(parse(TEXT, Path("mine.toml")).preset))
    return made


def tell(run: RunFolder, *said: events.Event) -> None:
    log = EventLog(run.events_file)
    for event in said:
        log.append(event, STAGE)
    log.close()


def extensions(run: RunFolder) -> list[list[int]]:
    found = tomllib.loads(run.preset_file.read_text())
    return [stage["extensions"] for stage in found["train"]]


def test_steps_and_epochs_are_added_to_the_last_stage(run: RunFolder) -> None:
    assert "extended sft by 12 steps; later stages will run again" in extend(run, steps="+12")
    tell(run, PLAN)  # ten steps an epoch
    extend(run, epochs="+1")
    extend(run, epochs="+0.25")
    assert extensions(run) == [[], [12, 10, 2]]


@pytest.mark.parametrize(
    ("epochs", "steps", "message"),
    [
        ("1", "", "--epochs 1: not a number of epochs to add (use +1)"),
        ("+0", "", "not a number of epochs to add"),
        ("", "+1.5", "not a number of steps to add (use +100)"),
        ("", "-3", "not a number of steps"),
        ("+1", "+1", "cannot be combined"),
        ("+1", "", "train:sft has not started; its epoch is unknown (use --steps)"),
    ],
)
def test_what_cannot_be_added(run: RunFolder, epochs: str, steps: str, message: str) -> None:
    before = run.preset_file.read_text()
    with pytest.raises(UserError) as caught:
        extend(run, epochs, steps)
    assert message in str(caught.value) and run.preset_file.read_text() == before


def test_a_stage_that_stopped_early_is_not_extended(run: RunFolder) -> None:
    tell(run, PLAN, step(4, 10), events.StageDone(elapsed_s=1.0, inputs=""))
    with pytest.raises(UserError, match="train:sft stopped early"):
        extend(run, steps="+5")


def test_the_command_extends_and_resumes(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launch, "WORKER", FAKE_WORKER)
    monkeypatch.setenv("STORY", "done")
    assert main(["resume", "one", "--steps", "+7"]) == 0
    assert "extended sft by 7 steps; later stages will run again" in capsys.readouterr().err
    assert extensions(run) == [[], [7]]
    assert main(["resume", "one", "--steps", "7"]) == 2
