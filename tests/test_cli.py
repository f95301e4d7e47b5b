"""The command line: commands, mistakes in them, and what an exit status means."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.run.helpers import make_run
from workbench import __version__, cli
from workbench.cli import COMMANDS, main
from workbench.commands import stop


def test_help_names_every_command_flag_and_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == main(["-h"]) == 0
    told = capsys.readouterr().out
    for word in (*COMMANDS, "--preset", "--set", "--name", "--stages", "--detach", "--json"):
        assert word in told
    assert "--dry-run" in told and "workbench keys" in told and "130 interrupted" in told
    assert max(map(len, told.splitlines())) <= 100


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_of_its_own(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: workbench {command}")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"workbench {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["runz"], "unknown command 'runz' (did you mean 'runs'?)"),
        (["xyz"], "unknown command 'xyz' (use attach, chat, data, evaluate, export, keys,"),
        (["\x1b[31m"], "unknown command '\\x1b[31m'"),
        (["--preset"], "argument --preset: expected one argument (see workbench --help)"),
        (["--presets", "x"], "unrecognized arguments: --presets x"),
        (["--name", "x"], "--preset is missing (run `workbench presets` to list the presets)"),
        (["--preset", "quikstart"], "preset 'quikstart' not found (did you mean 'quickstart'?)"),
        (["--preset", "absent.toml"], "absent.toml"),
        (["--preset", "quickstart", "--set", "train.0.rnk=3"], "--set train.0.rnk: unknown key"),
        (["--preset", "quickstart", "--set", "x"], "--set: 'x' has no key or no '='"),
        (
            ["--preset", "quickstart", "--stages", "trian"],
            "unknown stage 'trian' (did you mean 'train'?)",
        ),
        (["resume"], "the following arguments are required: RUN (see workbench resume --help)"),
        (["resume", "nothing"], "no run 'nothing' in"),
        (["attach", "nothing"], "there are no runs yet"),
        (["stop", "nothing"], "no run 'nothing'"),
        (["keys", "trian"], "no section 'trian' (did you mean 'train'?)"),
        (["data", "absent.txt"], "absent.txt"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert told in err and err.count("\n") == 1 and out == ""


def test_a_mistake_in_a_preset_makes_no_folder(tmp_path: Path) -> None:
    assert main(["--preset", "quickstart", "--set", "data.source.0.path=absent"]) == 2
    assert not (tmp_path / "runs").exists()


def test_a_bug_of_ours_is_one_line_and_a_traceback_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "runs")
    monkeypatch.setattr(stop.launch, "stop", lambda run: {}["surprise"])
    monkeypatch.setattr(cli.tempfile, "tempdir", str(tmp_path))
    assert main(["stop", "one"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("internal error: KeyError('surprise')")
    assert err.count("\n") == 1
    (log,) = tmp_path.glob("workbench-*.log")
    assert str(log) in err and "Traceback" in log.read_text()


def test_without_arguments_it_tells_what_is_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == 0
    told = capsys.readouterr().out
    assert "quickstart" in told and "Runs" not in told and "workbench --help" in told
    for number in range(7):
        make_run(tmp_path / "runs", f"run{number}")
    assert main([]) == 0
    told = capsys.readouterr().out
    assert "Runs (2 older runs: workbench runs)" in told and "workbench chat run6" in told


def test_no_runs_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 0
    assert "no runs in" in capsys.readouterr().err
    assert main(["runs", "--json"]) == 0
    assert capsys.readouterr().out == "[]\n"


def test_presets_and_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets"]) == 0
    assert "Teach the bundled base model" in capsys.readouterr().out
    assert main(["keys", "generate"]) == 0
    told = capsys.readouterr().out
    assert "temperature" in told and "learning_rate" not in told
    assert main(["keys"]) == 0
    assert "learning_rate" in capsys.readouterr().out


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "workbench", "runz"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stderr == "unknown command 'runz' (did you mean 'runs'?)\n"


def test_output_into_a_closed_pipe_is_no_traceback() -> None:
    code = f"{sys.executable} -m workbench keys | head -1"
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "" and done.stdout.startswith("Top level")
