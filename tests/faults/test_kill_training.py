"""`kill -9` and failing disks while training: resumed, the bits are those of a run left alone.

Heavy modules are imported once, here; every trial is a forked child with one torch thread.
"""

from __future__ import annotations

import errno
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.pipeline.training.helpers import Bench, stage_settings
from workbench import files
from workbench.pipeline.training import checkpoint

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(1200),
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]

KILLS = 20
STAGE = stage_settings(epochs=5.0, save_every=2.0)


def forked(job: Callable[[], None]) -> int:
    """Run `job` in a child; its pid. Exit status 0 when it came to its end, 3 on an error."""
    pid = os.fork()
    if pid:
        return pid
    status = 3
    try:
        torch.set_num_threads(1)
        job()
        status = 0
    except OSError as error:
        status = 28 if error.errno == errno.ENOSPC else 4
    finally:
        os._exit(status)


def wait_or_kill(pid: int, until: float) -> bool:
    """Whether the child had to be killed at `until` (monotonic seconds)."""
    while time.monotonic() < until:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
        time.sleep(0.0005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return True


def test_killed_at_random_moments_the_bits_are_the_same(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    started = time.monotonic()
    os.waitpid(forked(lambda: _train(bench, "whole")), 0)
    whole_s = time.monotonic() - started
    rng = random.Random(20261121)
    kills = in_save = same = 0
    for trial in range(KILLS):
        name, killed = f"trial-{trial}", False
        while not killed:  # at least one kill each; a trial that gets through starts anew
            files.remove_folder(tmp_path / name)
            killed = wait_or_kill(
                forked(lambda name=name: _train(bench, name)),
                time.monotonic() + rng.uniform(0.05, whole_s),
            )
        kills += 1
        in_save += bool(list(bench.folder(name).rglob("tmp-*")))
        os.waitpid(forked(lambda name=name: _train(bench, name)), 0)
        same += files.sha256(bench.adapter(name)) == files.sha256(bench.adapter("whole"))
        assert not list(bench.folder(name).rglob("tmp-*")), "a killed writer's folder stays"
    print(f"{kills} kills, {in_save} of them inside a save: {same} of {KILLS} bit-identical")
    assert same == KILLS


@pytest.mark.parametrize("what", ["kill", "enospc", "eio"])
def test_every_file_operation_of_a_save_may_fail(tmp_path: Path, what: str) -> None:
    """Operation n = 1, 2, ... of the run breaks; the resumed run has the same bits each time."""
    bench = Bench(tmp_path)
    stage = stage_settings(epochs=1.0, save_every=4.0, evaluate_every=4.0)
    bench.train("whole", settings=stage)
    reached_the_end = 0
    for at in range(1, 400):
        name = f"{what}-{at}"
        pid = forked(lambda at=at, name=name: _train_with_fault(bench, name, f"any:{at}:{what}"))
        _, status = os.waitpid(pid, 0)
        if os.waitstatus_to_exitcode(status) == 0:
            reached_the_end = at
            break
        bench.train(name, settings=stage)
        assert files.sha256(bench.adapter(name)) == files.sha256(bench.adapter("whole")), at
        assert len(list(checkpoint.steps(bench.folder(name)))) <= 2
        files.remove_folder(tmp_path / name)
    assert reached_the_end > 20, "the loop never met all operations of a save"


def _train(bench: Bench, name: str) -> None:
    bench.train(name, settings=STAGE)


def _train_with_fault(bench: Bench, name: str, fault: str) -> None:
    files._fault = files._Fault(fault)
    bench.train(name, settings=stage_settings(epochs=1.0, save_every=4.0, evaluate_every=4.0))
