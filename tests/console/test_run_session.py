"""A run without a screen, told by a stand-in worker: progress, JSON, endings, exit statuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.helpers import FAKE_WORKER, front
from tests.run.helpers import make_run
from workbench.cli import main
from workbench.run import control, launch, lock
from workbench.run.folder import RunFolder
from workbench.run.log import read


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunFolder]:
    monkeypatch.setattr(launch, "WORKER", FAKE_WORKER)
    made = make_run(tmp_path / "runs")
    yield made
    control.send_request(made.control, "stop")


def resume(monkeypatch: pytest.MonkeyPatch, story: str, *flags: str) -> int:
    monkeypatch.setenv("STORY", story)
    return main(["resume", "one", *flags])


def wait_for_lock(run: RunFolder) -> int:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        owner = lock.owner(run.lock_file)
        if owner and owner.pid:
            return owner.pid
        time.sleep(0.02)
    pytest.fail("no worker came")


def test_done(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert resume(monkeypatch, "done") == 0
    out, err = capsys.readouterr()
    assert out == f"{run.path}\n"
    assert "✓ prepare" in err and "9 training rows, 1 validation row  duplicates: 2" in err
    assert "4 steps  loss 2.00 → 0.50  best 0.50  5,000 tok/s  0:58" in err
    assert "checker pass rate  0.00  0.94 (0.90 to 0.97)" in err
    assert "model-q8_0.gguf  2.0 KiB" in err
    assert "workbench chat one" in err and "ollama create x" in err
    assert "\r" not in err


def test_warnings_are_told_once_and_cannot_steer_the_terminal(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    resume(monkeypatch, "done")
    err = capsys.readouterr().err
    assert err.count("! 2 duplicates") == 1
    assert "\\x1b]0;owned\\x07[bold]\\u202e" in err and "\x1b" not in err and "\u202e" not in err


@pytest.mark.parametrize(
    ("story", "status", "last"),
    [
        ("failed", 1, "disk full: no room \\x1b]0;owned\\x07[bold]\\u202e"),
        ("refused", 2, "data/x.txt:3: INPUT without OUTPUT"),
        (
            "killed",
            1,
            "the worker died (signal 9, possibly out of memory); "
            "progress up to step 2 is saved: workbench resume one",
        ),
        (
            "silent",
            1,
            "the worker died (exit status 3; last log line: ImportError: no such library); "
            "finished stages are kept: workbench resume one",
        ),
    ],
)
def test_the_reason_is_the_last_line(
    run: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    story: str,
    status: int,
    last: str,
) -> None:
    assert resume(monkeypatch, story) == status
    assert capsys.readouterr().err.splitlines()[-1] == last


def test_json_is_the_log_and_an_exit_line(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert resume(monkeypatch, "done", "--json") == 0
    out, err = capsys.readouterr()
    assert err == ""
    *told, end = out.splitlines()
    assert told == run.events_file.read_text().splitlines()
    assert json.loads(end) == {"kind": "exit", "status": 0, "run": str(run.path)}


def test_a_second_life_is_told_from_its_own_start_on(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ending of the first life must not be taken for that of the second."""
    assert resume(monkeypatch, "failed") == 1
    first = len(read(run.events_file))
    capsys.readouterr()
    assert resume(monkeypatch, "silent", "--json") == 1
    assert [json.loads(line)["kind"] for line in capsys.readouterr().out.splitlines()] == ["exit"]
    assert resume(monkeypatch, "done", "--json") == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert told[0]["seq"] == first + 1 and told[-1]["status"] == 0


def test_ctrl_c_stops_at_a_safe_point_and_says_how_to_go_on(run: RunFolder) -> None:
    process = front("resume", "one", story="patient")
    wait_for_lock(run)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "stopping at the next safe point with a checkpoint" in err
    assert err.splitlines()[-1] == "stopped; progress up to step 2 is saved: workbench resume one"
    assert out == f"{run.path}\n"
    assert lock.owner(run.lock_file) is None


def test_sigterm_is_taken_as_ctrl_c(run: RunFolder) -> None:
    process = front("resume", "one", "--json", story="patient")
    wait_for_lock(run)
    process.terminate()
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert json.loads(out.splitlines()[-1])["status"] == 130


@pytest.mark.parametrize("story", ["deaf", "busy"])
def test_ctrl_c_twice_leaves_at_once(run: RunFolder, story: str) -> None:
    process = front("resume", "one", story=story)
    wait_for_lock(run)
    assert process.stderr
    process.send_signal(signal.SIGINT)
    while "stopping" not in process.stderr.readline():
        pass
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert time.monotonic() - started < 10
    assert process.returncode == 130
    assert err.splitlines()[-1] == "aborted; finished stages are kept: workbench resume one"
    assert lock.owner(run.lock_file) is None


def test_a_lost_terminal_leaves_the_worker_at_work(run: RunFolder) -> None:
    process = front("resume", "one", story="patient")
    pid = wait_for_lock(run)
    os.killpg(process.pid, signal.SIGHUP)
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGHUP
    owner = lock.owner(run.lock_file)
    assert owner and owner.pid == pid
    assert launch.stop(run, limit_s=10)


def test_a_reader_that_leaves_is_no_fault(run: RunFolder) -> None:
    process = front("resume", "one", "--json", story="short")
    assert process.stdout
    process.stdout.close()
    assert process.stderr
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    assert process.wait(20) == 1


def test_detach_returns_and_attach_watches(run: RunFolder) -> None:
    process = front("resume", "one", "--detach", story="short")
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, f"{run.path}\n")
    assert "workbench attach one" in err
    watcher = front("attach", "one", story="")
    _, err = watcher.communicate(timeout=20)
    assert watcher.returncode == 0
    assert "✓ train sft" in err and "checker pass rate  0.00" in err


def test_detach_tells_of_a_worker_that_ends_at_once(run: RunFolder) -> None:
    process = front("resume", "one", "--detach", story="silent")
    _, err = process.communicate(timeout=20)
    assert process.returncode in (0, 1)  # it may just hold the lock when it is looked at
    if process.returncode:
        assert "ImportError: no such library" in err


def test_ctrl_c_only_detaches_a_watcher(run: RunFolder) -> None:
    owner = front("resume", "one", "--detach", story="patient")
    owner.communicate(timeout=20)
    watcher = front("attach", "one", story="")
    assert watcher.stderr
    watcher.stderr.readline()
    watcher.send_signal(signal.SIGINT)
    _, err = watcher.communicate(timeout=20)
    assert watcher.returncode == 130
    assert err.splitlines()[-1] == "detached; one is still running"
    assert lock.owner(run.lock_file)
    stopper = front("stop", "one", story="")
    _, err = stopper.communicate(timeout=20)
    assert stopper.returncode == 0 and "one has stopped; resume it: workbench resume one" in err
    assert read(run.events_file)[-1].event.kind == "run_stopped"


def test_attach_to_a_finished_run_tells_its_story_and_status(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["attach", "one"]) == 2
    assert "one has not started (workbench resume one)" in capsys.readouterr().err
    resume(monkeypatch, "failed")
    capsys.readouterr()
    assert main(["attach", "one"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("disk full")
    assert main(["attach", "one", "--json"]) == 1
    assert len(capsys.readouterr().out.splitlines()) == len(read(run.events_file)) + 1


def test_a_run_at_work_cannot_be_resumed(run: RunFolder) -> None:
    front("resume", "one", "--detach", story="patient").communicate(timeout=20)
    again = front("resume", "one", story="patient")
    _, err = again.communicate(timeout=20)
    assert again.returncode == 2
    assert "this run is in use by process " in err and "(watch it: workbench attach one)" in err
    assert main(["stop", "one"]) == 0


def test_stopping_what_is_not_at_work_is_said(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stop", "one"]) == 0
    assert "nothing to stop: one is not running" in capsys.readouterr().err


def test_runs_shows_every_standing(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, story in (("a", "done"), ("b", "failed"), ("c", "killed")):
        make_run(run.path.parent, name)
        monkeypatch.setenv("STORY", story)
        main(["resume", name])
    capsys.readouterr()
    assert main(["runs"]) == 0
    listed = capsys.readouterr().out
    assert main(["runs", "--json"]) == 0
    views = {view["name"]: view for view in json.loads(capsys.readouterr().out)}
    standings = {name: view["standing"] for name, view in views.items()}
    assert standings == {"one": "new", "a": "done", "b": "failed", "c": "died"}
    assert views["a"]["best_loss"] == 0.5 and views["c"]["step"] == 4
    assert "\x1b" not in listed and "disk full: no room" in listed
    assert "the worker died; resume it: workbench resume c" in listed


def test_a_front_that_dies_leaves_a_run_that_can_be_attached(run: RunFolder) -> None:
    process = front("resume", "one", story="short")
    wait_for_lock(run)
    process.kill()
    process.communicate()
    watcher = front("attach", "one", story="")
    watcher.communicate(timeout=20)
    assert watcher.returncode == 0


def test_a_front_leaves_no_process_behind(run: RunFolder) -> None:
    process = front("resume", "one", story="done")
    process.communicate(timeout=20)
    left = subprocess.run(["pgrep", "-f", str(run.path)], capture_output=True, check=False)
    assert left.stdout == b""
