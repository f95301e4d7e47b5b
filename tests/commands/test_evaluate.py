"""`workbench evaluate`: a file of prompts asked, judged and reported, by a child process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.inference.helpers import write_tiny
from tests.run.helpers import make_run
from tests.run.test_model_files import PRESET, exported
from workbench.cli import Parser, main
from workbench.commands import evaluate
from workbench.reports.evaluation_report import read_report

SYSTEM = 'path = "x.txt"\n[data]\nsystem = "Be kind."'
CHECKED = (
    PRESET.replace('path = "x.txt"', SYSTEM)
    + '[generate]\nmax_tokens = 3\n[evaluate]\nchecker = ["{python}", "-c", "", "{file}"]\n'
    + 'checker_suffix = ".py"\ntimeout = 3.5\n'
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Here are two prompts and a model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORKBENCH_RUNS", "runs")
    rows = [{"prompt": f"Say {word}.", "completion": word} for word in ("yes", "no")]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_tiny(tmp_path / "m.gguf")
    return tmp_path


def request(*arguments: str) -> dict[str, Any]:
    parser = Parser()
    evaluate.add_arguments(parser)
    return evaluate.request_of(parser.parse_args(list(arguments)))


def test_a_run_and_a_file_are_asked_as_the_run_s_preset_says(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(place / "runs", preset=CHECKED)
    exported(run, "f16")
    write_tiny(run.export / "one-f16.gguf")
    arguments = ["evaluate", "one", "--prompts", "p.jsonl", "--baseline", "m.gguf"]
    assert main(arguments) == 0
    said = capsys.readouterr()
    folder = run.path / "evaluation-p"
    assert said.out.split()[:2] == ["one", "m.gguf"] and "checker pass rate" in said.out
    assert "one vs. m.gguf: +0.000 (+0.000 to +0.000), p = 1.00" in said.out
    assert said.err == "report: runs/one/evaluation-p/report.md\n"
    report = read_report(folder)
    cases = [case for model in report.models.values() for case in model.read_cases()]
    assert len(cases) == 4 and all(case.passed is not None for case in cases)
    assert all(case.n_tokens <= 3 and case.earlier == (("system", "Be kind."),) for case in cases)
    answers = (folder / "answers" / "one.jsonl").read_bytes()
    assert main([*arguments, "--checker", "builtin:exact", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["about"]["checker"] == "builtin:exact" and told["subject"] == "one"
    assert (folder / "answers" / "one.jsonl").read_bytes() == answers, "asked again"


def test_faults_that_the_child_finds_are_one_line(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "bad.jsonl").write_text("{\n")
    assert main(["evaluate", "m.gguf", "--prompts", "bad.jsonl"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("bad.jsonl:1: ") and error.count("\n") == 1


def test_two_do_not_write_into_one_folder(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "out").mkdir()
    code = (
        "import sys; from pathlib import Path; from workbench.run.lock import Lock\n"
        "lock = Lock(Path('out/lock')); print(flush=True); sys.stdin.read()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout and holder.stdout.readline()
        assert main(["evaluate", "m.gguf", "--prompts", "p.jsonl", "-o", "out"]) == 2
    assert capsys.readouterr().err.startswith("out: another evaluation is writing to this folder")


def test_what_a_run_lends_and_what_flags_change(place: Path) -> None:
    run = make_run(place / "runs", preset=CHECKED)
    exported(run, "f16")
    (run.evaluation / "base-f16.gguf").write_bytes(b"x")
    baselines = ["--baseline", "base", "--baseline", "ollama:x", "--baseline", "base"]
    asked = request("one", "--prompts", "p.jsonl", *baselines, "--limit", "1")
    names = {"one": "export/one-f16.gguf", "base": "evaluation/base-f16.gguf"}
    files = {name: str(run.path / path) for name, path in names.items()}
    assert asked["models"] == {**files, "ollama:x": "ollama:x"}
    assert asked["checker"] == ["{python}", "-c", "", "{file}"]
    assert (asked["suffix"], asked["timeout_s"], asked["limit"]) == (".py", 3.5, 1)
    words = ["--checker", "{python} -m 'py_compile' {file}", "-o", "out", "--suffix", ".x"]
    asked = request("one", "--prompts", "p.jsonl", *words)
    assert asked["checker"] == ["{python}", "-m", "py_compile", "{file}"]
    assert (asked["suffix"], asked["out"]) == (".x", "out")
    assert request("one", "--prompts", "p.jsonl", "--checker", "")["checker"] == []
    alone = request("m.gguf", "--prompts", "p.jsonl", "--checker", "builtin:similar", "0.5")
    assert alone["checker"] == ["builtin:similar", "0.5"] and alone["out"] == "evaluation-p"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["absent.gguf"], "file not found: 'absent.gguf'"),
        (["nobody"], "no run 'nobody'"),
        (["m.gguf", "--prompts", "no.jsonl"], "no.jsonl: prompt file not found"),
        (["m.gguf", "--checker", "builtin:jsn"], "did you mean 'json'?"),
        (["m.gguf", "--checker", "'x"], "--checker: No closing quotation"),
        (["m.gguf", "--checker", "python"], "never receives the response (add {file}"),
        (["m.gguf", "--checker", "no-such", "{file}"], "'no-such' is not installed"),
        (["m.gguf", "--baseline", "base"], "--baseline base needs a run"),
        (["m.gguf", "--baseline", "m"], "'m' is listed twice"),
        (["m.gguf", "--samples", "0"], "--samples must be at least 1"),
        (["m.gguf", "--limit", "-1"], "--limit and --seed must not be negative"),
        (["m.gguf", "-o", "p.jsonl"], "p.jsonl: is not a folder"),
    ],
)
def test_faults_of_the_arguments(
    arguments: list[str], told: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = [] if "--prompts" in arguments else ["--prompts", "p.jsonl"]
    assert main(["evaluate", arguments[0], *wanted, *arguments[1:]]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1


def test_an_interruption_says_that_the_answers_are_kept(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate, "ask", interrupted)
    assert main(["evaluate", "m.gguf", "--prompts", "p.jsonl"]) == 130
    assert capsys.readouterr().err.startswith("interrupted; responses are kept")
