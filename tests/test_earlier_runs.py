"""Runs that an earlier build has made: they are listed, asked, resumed and exported as then.

`tests/fixtures/first_build/` holds a finished and a stopped run of commit 8bc3429 with the base and
the data that they were made of. They come from another folder, as a run copied from a server does.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import gguf
import numpy as np
import pytest

from tests.pipeline.test_worker import of_kind, state_of, work
from workbench import cli
from workbench.run import events
from workbench.run.folder import RunFolder
from workbench.run.log import read

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

FIXTURE = Path(__file__).parent / "fixtures" / "first_build"
MADE_IN = "/home/user/tuning/"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The runs and what they were made of, below `tmp_path`."""
    shutil.copytree(FIXTURE, tmp_path, dirs_exist_ok=True)
    for run in (tmp_path / "runs").iterdir():
        for name in ("preset.toml", "base.json"):
            text = (run / name).read_text("utf-8").replace(MADE_IN, f"{tmp_path}/")
            (run / name).write_text(text, "utf-8")
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "runs"))
    return tmp_path


def tensors(path: Path) -> dict[str, bytes]:
    return {t.name: np.asarray(t.data).tobytes() for t in gguf.GGUFReader(path).tensors}


def test_a_stopped_run_resumes_at_its_step_with_the_loss_of_then(place: Path) -> None:
    run = RunFolder(place / "runs" / "stopped")
    seen = len(read(run.events_file))
    assert work(run) == 0
    records = read(run.events_file)[seen:]
    (resumed,) = of_kind(records, events.Resumed)
    (step,) = of_kind(records, events.Step)
    (validated,) = of_kind(records, events.Validated)
    assert resumed.event.from_step == 5  # type: ignore[attr-defined]
    assert step.event.step == 6  # type: ignore[attr-defined]
    assert step.event.loss == pytest.approx(4.775855064, abs=1e-4)  # type: ignore[attr-defined]
    assert validated.event.loss == pytest.approx(4.769047477, abs=1e-4)  # type: ignore[attr-defined]
    assert [stage.status for stage in state_of(run).stages.values()] == ["done"] * 5


def test_what_was_trained_is_exported_as_then(place: Path) -> None:
    run = RunFolder(place / "runs" / "finished")
    before = {t: tensors(run.path / "export" / f"finished-{t}.gguf") for t in ("f16", "q8_0")}
    for path in (run.path / "export").glob("*.gguf"):
        path.unlink()
    seen = len(read(run.events_file))
    assert work(run) == 0
    assert not of_kind(read(run.events_file)[seen:], events.Step), "nothing is trained again"
    for type_name, expected in before.items():
        assert tensors(run.path / "export" / f"finished-{type_name}.gguf") == expected


def test_runs_of_then_are_listed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["runs", "--json"]) == 0
    listed = {run["name"]: run for run in json.loads(capsys.readouterr().out)}
    assert {name: (run["standing"], run["step"]) for name, run in listed.items()} == {
        "finished": ("done", 6),
        "stopped": ("stopped", 5),
    }
    assert listed["finished"]["best_loss"] == 4.769047477028587


def test_the_model_of_then_answers_as_then(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (FIXTURE / "runs/finished/evaluation/answers/tuned.jsonl").read_text("utf-8")
    expected = json.loads(lines.splitlines()[2])["text"]  # of index 1: thing h
    assert cli.main(["chat", "finished", "--prompt", "Give me a list of thing h"]) == 0
    assert capsys.readouterr().out.rstrip("\n") == expected
