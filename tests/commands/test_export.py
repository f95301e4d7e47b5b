"""`workbench export`: what is refused before a worker starts, and what the worker is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.helpers import FAKE_WORKER
from tests.inference.helpers import write_tiny
from tests.run.helpers import make_run
from workbench.cli import main
from workbench.run import events, launch
from workbench.run.folder import RunFolder
from workbench.run.log import EventLog


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launch, "WORKER", FAKE_WORKER)
    made = make_run(tmp_path / "runs", "mine")
    (made.export / "mine-f16.gguf").write_bytes(b"x")
    log = EventLog(made.events_file)
    path = "export/mine-f16.gguf"
    log.append(
        events.FileExported(type="f16", path=path, bytes=1, fallbacks=0, elapsed_s=1), "export"
    )
    log.close()
    return made


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mine"], "no --type given"),
        ([], "no run or .gguf file given"),
        (["mine", "--type", "q4_km"], "did you mean 'q4_k_m'?"),
        (["mine", "--type", "iq2_xs"], "needs an importance matrix"),
        (["mine", "--type", "q8_0", "-o", "x.gguf"], "--output only applies to a .gguf file"),
        (["yours", "--type", "q8_0"], "no run 'yours'"),
        (["none.gguf", "--type", "q8_0", "-o", "x.gguf"], "none.gguf: file not found"),
        (["here.gguf", "--type", "q8_0"], "a FILE needs exactly one --type and an --output"),
        (
            ["here.gguf", "--type", "q8_0", "-o", "x.bin"],
            "x.bin: the output file name must end in .gguf",
        ),
        (["here.gguf", "--type", "q8_0", "-o", "no/x.gguf"], "no: folder not found"),
        (
            ["here.gguf", "--type", "q8_0", "-o", "./here.gguf"],
            "input and output are the same file",
        ),
        (["here.gguf", "--type", "q8_0", "-o", "x.gguf", "--merged"], "only apply to a run"),
    ],
)
def test_what_cannot_be_is_one_line(
    run: RunFolder, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    Path("here.gguf").write_bytes(b"GGUF")
    assert main(["export", *arguments]) == 2
    told = capsys.readouterr()
    assert said in told.err and told.err.count("\n") == 1 and told.out == ""
    assert not (run.path / "exports.json").exists()


def test_what_stands_already_needs_no_worker(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "mine", "--type", "F16"]) == 0
    assert "nothing to do: mine already has these files in" in capsys.readouterr().err
    assert not run.lock_file.exists()


def test_the_worker_is_asked_for_what_is_missing(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[object]()
    monkeypatch.setattr(
        "workbench.console.run_session.start_and_follow",
        lambda run, stages, as_json, summary: asked.append((run, stages)) or 0,
    )
    words = ["--type", "f16", "--type", "Q8_0", "--type", "q8_0", "--merged"]
    assert main(["export", "mine", *words]) == 0
    assert asked == [(run, ["export:q8_0+merged"])]


def test_a_file_is_quantized(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(Path("tiny.gguf"))
    assert main(["export", "tiny.gguf", "--type", "q5_0", "-o", "small.gguf"]) == 0
    told = capsys.readouterr()
    assert told.out == "small.gguf\n" and "q5_0, " in told.err
    assert 0 < Path("small.gguf").stat().st_size < Path("tiny.gguf").stat().st_size


def test_the_types_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--types"]) == 0
    assert "q4_k_m  4.9 bits   the usual choice" in capsys.readouterr().out
