"""Ranks that fail, die or stop, played by a few lines of Python each: what is told, who is left."""

from __future__ import annotations

import errno
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from tests.run.helpers import make_run
from workbench.core.errors import Interrupted, RunFailed, UserError
from workbench.pipeline.training.distributed import supervisor
from workbench.pipeline.training.distributed.rank import RankExit, error_of, exit_fields
from workbench.run import events
from workbench.run.events import Event
from workbench.run.folder import RunFolder

PLAY = """
import json, os, signal, sys, threading, time
rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
tell = int(sys.argv[sys.argv.index("--tell") + 1])
def say(**fields): os.write(tell, json.dumps(fields).encode() + b"\\n")
def note(text): say(event="note", fields={"message": text, "level": "info"})
"""
Play = Callable[..., list[Event]]


def ranks() -> list[psutil.Process]:
    """Those that are left, dead ones nobody waited for among them; other tests' are none."""
    return [child for child in psutil.Process().children() if child.pid not in STRANGERS]


STRANGERS: set[int] = set()


@pytest.fixture(autouse=True)
def strangers() -> None:
    STRANGERS.clear()
    STRANGERS.update(child.pid for child in psutil.Process().children())


@pytest.fixture
def run(tmp_path: Any) -> RunFolder:
    return make_run(tmp_path)


@pytest.fixture
def play(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Supervise ranks that run these lines; gives the events."""

    def started(lines: str, size: int = 2, should_stop: Any = lambda: False) -> list[Event]:
        monkeypatch.setattr(supervisor, "RANK", (sys.executable, "-c", PLAY + lines))
        heard: list[Event] = []
        try:
            supervisor.train(run, 0, size, heard.append, should_stop)
        finally:
            assert not ranks(), "a rank is left"
        return heard

    return started


def test_the_first_is_heard_and_all_are_waited_for(play: Play) -> None:
    heard = play('if rank == 0: note("größer")\nsay(kind="done")', size=3)
    assert heard == [events.Note(message="größer")]


def test_the_load_of_the_first_is_told_by_the_workers_own_meter(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[events.Load] = []
    monkeypatch.setattr(supervisor.elsewhere, "hear", heard.append)
    load = events.Load(
        cpu_share=0.5, worker_cores=1, memory_bytes=1, memory_free_bytes=1, gpu_memory_bytes=7
    )
    lines = f"if rank == 0: say(event='load', fields={load.fields()!r})\nsay(kind='done')"
    assert play(lines) == [] and heard == [load]
    assert supervisor.elsewhere.gpu is None


def test_the_environment_is_that_of_torchrun(play: Play) -> None:
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    lines = f"note(json.dumps([os.environ[n] for n in {names!r}]))\nsay(kind='done')"
    heard = [json.loads(event.message) for event in play(lines) if isinstance(event, events.Note)]
    assert sorted(values[:5] for values in heard) == [
        ["0", "0", "2", "2", "127.0.0.1"],
        ["1", "1", "2", "2", "127.0.0.1"],
    ]
    assert heard[0][5] == heard[1][5] and int(heard[0][5]) > 0


def test_the_cores_are_shared_out() -> None:
    given = supervisor.environment(1, 10**6, 1, {})
    assert given["OMP_NUM_THREADS"] == "1"
    assert supervisor.environment(1, 2, 1, {"OMP_NUM_THREADS": "7"})["OMP_NUM_THREADS"] == "7"


def test_a_killed_rank_is_the_cause_whoever_speaks_first(play: Play) -> None:
    """The other one only notices the silence."""
    lines = """
if rank == 1: time.sleep(0.3); os.kill(os.getpid(), signal.SIGKILL)
say(kind="fault", text="RuntimeError: connection closed by peer"); time.sleep(60)
"""
    with pytest.raises(RunFailed, match="rank 1 of 2: was killed by SIGKILL: .*memory ran out"):
        play(lines)


def test_a_rank_that_fails_ends_those_that_wait_for_it(play: Play) -> None:
    started = time.monotonic()
    with pytest.raises(UserError, match="^rank 1 of 2: no such base$"):
        play('if rank == 0: time.sleep(600)\nsay(kind="input", text="no such base"); sys.exit(1)')
    assert time.monotonic() - started < 60


def test_what_all_of_them_say_is_said_once(play: Play) -> None:
    with pytest.raises(RunFailed, match="^training diverged$"):
        play('say(kind="failed", text="training diverged"); sys.exit(1)')


def test_one_that_leaves_without_a_word_did_not_do_its_part(play: Play) -> None:
    with pytest.raises(
        RunFailed, match=r"rank 0 of 2: ended with exit status 0 \(details: .*\.log\)"
    ):
        play('if rank == 1: say(kind="done")')


def test_a_word_cut_off_by_a_kill_is_none(play: Play) -> None:
    with pytest.raises(RunFailed, match="rank 0 of 2: was killed by SIGKILL"):
        play(
            'if rank == 0: os.write(tell, b\'{"kind": "do\'); os.kill(os.getpid(), 9)\n'
            'say(kind="done")'
        )


def test_a_stop_is_told_to_all_once_and_they_end_together(play: Play) -> None:
    lines = """
note(f"{rank} at work")
asked = os.read(0, 10)
say(kind="interrupted", text=f"stopped, asked {len(asked)} times"); os._exit(1)
"""
    looks = iter([False, False, *[True] * 1000])
    with pytest.raises(Interrupted, match="stopped, asked 1 times"):
        play(lines, should_stop=lambda: next(looks))


def test_a_full_disk_is_a_full_disk(play: Play) -> None:
    with pytest.raises(OSError) as failure:
        play(f'if rank == 0: say(kind="system", errno={errno.ENOSPC}, text="full")\ntime.sleep(60)')
    assert failure.value.errno == errno.ENOSPC


def test_a_worker_that_cannot_write_ends_its_ranks(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        supervisor, "RANK", (sys.executable, "-c", PLAY + 'note("a")\ntime.sleep(60)')
    )

    def full(event: Event) -> None:
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError):
        supervisor.train(run, 0, 2, full, lambda: False)
    assert not ranks()


def test_errors_go_through_the_pipe_and_come_out_the_same() -> None:
    for error in (
        UserError("no base", path="a.toml", hint="give one"),
        RunFailed("diverged"),
        Interrupted("stopped after step 3"),
        OSError(errno.ENOSPC, "full"),
    ):
        out = error_of([RankExit(n, **exit_fields(error)) for n in (0, 1)], 2, "log")
        assert type(out) is type(error) and (str(out) == str(error) or isinstance(error, OSError))
    fault = error_of([RankExit(0, **exit_fields(ZeroDivisionError("x\ny")))], 1, "worker.log")
    assert str(fault) == "ZeroDivisionError: x (details: worker.log)"
    assert error_of([RankExit(n, **exit_fields(None)) for n in (0, 1)], 2, "log") is None
