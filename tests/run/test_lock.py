"""One worker a run: kernel lock, known owner, nobody else's pid."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.run.helpers import make_run, python
from workbench.core.errors import UserError
from workbench.run import lock

HOLD = """
import sys, time
from pathlib import Path
from workbench.run.lock import Lock
from workbench.core.errors import UserError
try:
    Lock(Path(sys.argv[1]))
except UserError as error:
    print(error, flush=True)
    sys.exit(2)
print("held", flush=True)
sys.stdin.read()
"""

FORK_AND_HOLD = HOLD.replace("import sys", "import os, sys").replace(
    'print("held", flush=True)',
    'if os.fork() == 0:\n    time.sleep(60)\nprint("held", flush=True)',
)


def hold(path: Path, code: str = HOLD) -> subprocess.Popen[str]:
    return python(code, str(path), stdin=subprocess.PIPE)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_two_workers_race_and_one_wins(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    workers = [hold(run.lock_file) for _ in range(2)]
    words = [said(worker) for worker in workers]
    assert sorted(word == "held" for word in words) == [False, True]
    winner = workers[words.index("held")]
    loser = next(word for word in words if word != "held")
    assert f"this run is in use by process {winner.pid}" in loser
    assert "workbench attach one" in loser
    for worker in workers:
        worker.communicate()


def test_the_owner_is_known_while_it_lives_and_gone_when_it_is_killed(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    assert lock.owner(run.lock_file) is None
    worker = hold(run.lock_file)
    assert said(worker) == "held"
    found = lock.owner(run.lock_file)
    assert found is not None and found.pid == worker.pid and lock.is_alive(found)
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    assert lock.owner(run.lock_file) is None
    assert not lock.is_alive(found)
    again = hold(run.lock_file)
    assert said(again) == "held"
    again.communicate()


def test_a_forked_child_does_not_keep_a_killed_owners_lock(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    pipes = {"start_new_session": True, "stdin": subprocess.PIPE}
    worker = python(FORK_AND_HOLD, str(run.lock_file), **pipes)
    assert said(worker) == "held"
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    assert lock.owner(run.lock_file) is None
    os.killpg(worker.pid, signal.SIGKILL)  # the child of it
    worker.communicate()


def test_readers_do_not_take_each_other_for_a_worker(tmp_path: Path) -> None:
    """A stale owner stands in the file; a second reader's probe must not bring it to life."""
    run = make_run(tmp_path)
    run.lock_file.write_text(json.dumps({"pid": 1, "start_ticks": 2, "boot_id": "x"}))
    probe = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.lockf(fd, fcntl.LOCK_SH)
print("probing", flush=True)
sys.stdin.read()
"""
    reader = python(probe, str(run.lock_file), stdin=subprocess.PIPE)
    assert said(reader) == "probing"
    assert lock.owner(run.lock_file) is None
    reader.communicate()


def test_a_reused_pid_is_not_the_worker() -> None:
    me = lock.identity(os.getpid())
    assert lock.is_alive(me)
    assert not lock.is_alive(lock.Owner(me.pid, me.start_ticks + 1, me.boot_id))
    assert not lock.is_alive(lock.Owner(me.pid, me.start_ticks, "another boot"))
    assert not lock.is_alive(lock.Owner(2**22 + 1, 0, ""))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', "\x00"])
def test_a_damaged_owner_is_an_unknown_one(tmp_path: Path, content: str) -> None:
    path = tmp_path / "lock"
    path.write_text(content)
    assert "another process" in str(lock.acquire_lock(path))
    assert lock.owner(path) is None


def test_release_lets_the_next_one_in(tmp_path: Path) -> None:
    held = lock.Lock(tmp_path / "lock")
    held.release()
    lock.Lock(tmp_path / "lock").release()
    assert (tmp_path / "lock").read_text() == ""


def test_the_loser_changes_no_byte(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    worker = hold(run.lock_file)
    assert said(worker) == "held"
    before = run.lock_file.read_bytes()
    with pytest.raises(UserError, match=f"process {worker.pid}"):
        lock.Lock(run.lock_file)
    assert run.lock_file.read_bytes() == before
    worker.communicate()


@pytest.mark.faults
def test_fifty_races_have_fifty_winners(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    for _ in range(50):
        workers = [hold(run.lock_file) for _ in range(2)]
        words = [said(worker) for worker in workers]
        assert [word == "held" for word in words].count(True) == 1, words
        for worker in workers:
            worker.kill()
            worker.communicate()
