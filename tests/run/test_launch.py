"""Workers outlive their starter, and leave no pipe behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.run.helpers import make_run, python
from workbench.core.errors import RunFailed, UserError
from workbench.run import control, launch, lock
from workbench.run.folder import RunFolder

WORKER = """
import os, sys, time
from pathlib import Path
from workbench.run import control
from workbench.run.folder import RunFolder
from workbench.run.lock import Lock
run = RunFolder(Path(sys.argv[1]))
print(*sys.argv[1:])
streams = [os.readlink(f"/proc/self/fd/{n}") for n in (0, 1, 2)]
print(os.getcwd(), os.getsid(0) == os.getpid(), *streams, flush=True)
held = Lock(run.lock_file)  # taken last: whoever sees it held may read the log
until = time.monotonic() + 20
while not control.is_requested(run.control, "stop") and time.monotonic() < until:
    time.sleep(0.02)
held.release()
"""
COMMAND = (sys.executable, "-c", WORKER)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFolder]:
    made = make_run(tmp_path)
    yield made
    control.send_request(made.control, "stop")


def test_it_returns_once_the_worker_holds_the_lock(run: RunFolder) -> None:
    process = launch.start(run, ["prepare", "train"], COMMAND)
    owner = lock.owner(run.lock_file)
    assert owner and owner.pid == process.pid
    assert launch.stop(run, limit_s=10)
    assert process.wait(5) == 0
    given, surroundings = run.log_file.read_text().splitlines()
    assert given == f"{run.path} --stages prepare,train"
    log = str(run.log_file)
    assert surroundings == f"{run.path} True /dev/null {log} {log}"
    assert not launch.stop(run)


def test_a_second_start_is_refused_and_starts_nothing(run: RunFolder) -> None:
    process = launch.start(run, (), COMMAND)
    with pytest.raises(UserError, match=f"this run is in use by process {process.pid}"):
        launch.start(run, (), COMMAND)
    assert len(run.log_file.read_text().splitlines()) == 2
    launch.stop(run)
    process.wait(5)


def test_a_worker_that_ends_at_once_does_not_hang_the_start(run: RunFolder) -> None:
    process = launch.start(run, (), (sys.executable, "-c", "import sys; sys.exit('no luck')"))
    assert process.poll() == 1
    assert "no luck" in run.log_file.read_text()


def test_an_old_request_to_stop_does_not_stop_the_next_life(run: RunFolder) -> None:
    control.send_request(run.control, "stop")
    process = launch.start(run, (), COMMAND)
    assert lock.owner(run.lock_file)
    launch.stop(run)
    process.wait(5)


def test_a_worker_that_does_not_stop_is_told_of(run: RunFolder) -> None:
    deaf = WORKER.replace('control.is_requested(run.control, "stop")', "False")
    process = launch.start(run, (), (sys.executable, "-c", deaf))
    with pytest.raises(RunFailed, match="still running"):
        launch.stop(run, limit_s=0.3)
    assert launch.terminate(run)
    assert process.wait(5) == -signal.SIGTERM
    assert not launch.terminate(run)


def test_nobody_signals_a_pid_that_is_not_the_workers(run: RunFolder) -> None:
    """The lock is held, but the owner written in it started at another time."""
    stranger = WORKER.replace(
        "until =",
        'import json; os.pwrite(held._fd, json.dumps({"pid": os.getppid(), "start_ticks": 1, '
        '"boot_id": "x"}).encode() + b" " * 99, 0); until =',
    )
    process = subprocess.Popen([sys.executable, "-c", stranger, str(run.path)])
    while not run.lock_file.exists() or b'"x"' not in run.lock_file.read_bytes():
        time.sleep(0.02)
    assert lock.owner(run.lock_file)
    assert not launch.terminate(run)
    control.send_request(run.control, "stop")
    assert process.wait(5) == 0


def test_hangup_of_the_starter_does_not_reach_the_worker(run: RunFolder) -> None:
    starter = """
import sys, time
from pathlib import Path
from workbench.run import launch
from workbench.run.folder import RunFolder
process = launch.start(RunFolder(Path(sys.argv[1])), (), sys.argv[2:])
print(process.pid, flush=True)
time.sleep(60)
"""
    front = python(starter, str(run.path), *COMMAND, start_new_session=True)
    assert front.stdout
    pid = int(front.stdout.readline())
    os.killpg(front.pid, signal.SIGHUP)
    front.communicate()
    assert front.returncode == -signal.SIGHUP
    time.sleep(0.2)
    owner = lock.owner(run.lock_file)
    assert owner and owner.pid == pid and lock.is_alive(owner)
    assert launch.stop(run, limit_s=10)


def test_a_large_log_is_moved_aside_and_few_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "MAX_LOG_BYTES", 10)
    log = tmp_path / "worker.log"
    launch.rotate(log)  # absent
    for generation in "abcd":
        log.write_text(generation * 20)
        launch.rotate(log)
    assert {path.name: path.read_text()[0] for path in tmp_path.iterdir()} == {
        "worker.log.1": "d",
        "worker.log.2": "c",
    }
    log.write_text("small")
    launch.rotate(log)
    assert log.read_text() == "small"


def test_starting_at_the_same_moment_gives_one_worker(run: RunFolder) -> None:
    processes: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        try:
            processes.append(launch.start(run, (), COMMAND))
        except UserError:
            pass

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alive = [process for process in processes if process.poll() is None]
    assert len(alive) == 1
    launch.stop(run)
    for process in processes:
        process.wait(5)


def test_under_torchrun_all_but_the_first_follow_its_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone: list[list[str]] = []
    monkeypatch.setattr(os, "execve", lambda program, words, environment: gone.append(words))
    monkeypatch.delenv("RANK", raising=False)
    launch.refuse_other_ranks()
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, wanted in ("0", []), ("1", [[*launch.WORKER, "."]]):
        monkeypatch.setenv("RANK", rank)
        launch.refuse_other_ranks()
        assert gone == wanted and launch.torchrun_rank() == int(rank)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert launch.torchrun_rank() is None
