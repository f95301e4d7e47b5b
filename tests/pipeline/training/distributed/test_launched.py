"""`[launch] processes = 2`, and torchrun: real processes joined by gloo, a whole run each."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.pipeline.test_worker import state_of, wait_for_steps
from tests.pipeline.training.distributed import helpers
from tests.pipeline.training.distributed.helpers import (
    STEPS,
    adapter,
    losses,
    set_processes,
    steps_of,
    work,
)
from workbench.pipeline.training.distributed.supervisor import environment
from workbench.run import events, launch, lock
from workbench.run.folder import RunFolder
from workbench.run.log import read

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return helpers.prepared(tmp_path_factory.mktemp("launched"))


@pytest.fixture(scope="module")
def by_two(prepared: RunFolder) -> RunFolder:
    """What two processes train when nobody disturbs them."""
    made = copied(prepared, "by-two")
    assert work(made, "train") == 0, state_of(made).error
    return made


def copied(prepared: RunFolder, name: str, processes: int = 2) -> RunFolder:
    made = RunFolder(prepared.path.with_name(name))
    shutil.copytree(prepared.path, made.path)
    set_processes(made, processes)
    return made


def ranks_of(process: psutil.Process) -> list[psutil.Process]:
    """The ranks below a process, by number (that is the order of their start)."""
    found = [child for child in process.children() if "processes.rank" in " ".join(child.cmdline())]
    return sorted(found, key=lambda child: child.pid)


def once_at(run: RunFolder, step: int, act: Callable[[], bool]) -> Callable[[], bool]:
    """A `should_stop` that does nothing but look, until the run's log has that step."""
    acted: Iterator[bool] | None = None

    def look() -> bool:
        nonlocal acted
        if acted is None and any(s.step >= step for s in _logged(run)):
            acted = iter([act()])
            return next(acted)
        return False

    return look


def _logged(run: RunFolder) -> list[events.Step]:
    return [r.event for r in read(run.events_file) if isinstance(r.event, events.Step)]


def test_two_processes_train_what_one_does(prepared: RunFolder, by_two: RunFolder) -> None:
    """And the log of the two is that of one: every event once, in its order."""
    alone = copied(prepared, "alone", processes=1)
    assert work(alone, "train") == 0
    one, two = losses(alone), losses(by_two)
    assert len(one["train"]) == STEPS and len(one["validation"]) == 2
    assert two["train"] == pytest.approx(one["train"], abs=1e-5)
    assert two["validation"] == pytest.approx(one["validation"], abs=1e-5)
    told = [[r.event.kind for r in read(run.events_file)] for run in (alone, by_two)]
    noise = ("load", "memory_measured")
    assert [k for k in told[0] if k not in noise] == [k for k in told[1] if k not in noise]
    assert not ranks_of(psutil.Process())


@pytest.mark.faults
def test_stopped_it_saves_and_goes_on_to_the_same_bits(
    prepared: RunFolder, by_two: RunFolder
) -> None:
    run = copied(prepared, "stopped")
    assert work(run, "train", should_stop=once_at(run, 2, lambda: True)) == 130
    done = len(steps_of(run))
    assert 2 <= done < STEPS and state_of(run).status == "stopped"
    assert (run.training("sft") / f"step-{done:06d}" / "manifest.json").is_file()
    assert not ranks_of(psutil.Process())
    assert work(run, "train") == 0, state_of(run).error
    assert adapter(run) == adapter(by_two)


@pytest.mark.faults
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_rank_ends_all_and_the_rest_has_the_same_bits(
    prepared: RunFolder, by_two: RunFolder, rank: int
) -> None:
    run = copied(prepared, f"killed-{rank}")

    def kill() -> bool:
        ranks_of(psutil.Process())[rank].kill()
        return False

    assert work(run, "train", should_stop=once_at(run, 4, kill)) == 1
    assert f"rank {rank} of 2: was killed by SIGKILL" in state_of(run).error
    assert not ranks_of(psutil.Process())
    assert work(run, "train") == 0, state_of(run).error
    assert adapter(run) == adapter(by_two)


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_rank_outlives_the_worker(prepared: RunFolder, number: signal.Signals) -> None:
    run = copied(prepared, f"left-by-{number.name}")
    text = run.preset_file.read_text().replace("max_steps = 8", "max_steps = 100000")
    run.preset_file.write_text(text)
    command = [sys.executable, "-m", "workbench.pipeline.worker", str(run.path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as worker:
        try:
            wait_for_steps(run, 3)
            ranks = ranks_of(psutil.Process(worker.pid))
            assert len(ranks) == 2
            worker.send_signal(number)
            worker.wait(timeout=60)
        finally:
            worker.kill()
    until = time.monotonic() + 5
    while any(rank.is_running() for rank in ranks) and time.monotonic() < until:
        time.sleep(0.05)
    assert not [rank for rank in ranks if rank.is_running()]
    assert (state_of(run).status == "stopped") == (number == signal.SIGTERM)


def test_under_torchrun_the_first_is_the_worker(prepared: RunFolder, by_two: RunFolder) -> None:
    """Two agents of one process each, as on two machines; the preset's own number is not asked."""
    run = copied(prepared, "torchrun", processes=3)
    from torch.distributed import TCPStore

    free = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    meeting = f"--master-addr=127.0.0.1 --master-port={free.port}"
    del free
    each = f"--nproc-per-node=1 --nnodes=2 {meeting}"
    agents = [_agent(f"{each} --node-rank={node}", run) for node in (0, 1)]
    said = [agent.communicate(timeout=240)[0] for agent in agents]
    assert [agent.returncode for agent in agents] == [0, 0], "\n".join(said)
    assert state_of(run).status == "done"
    assert adapter(run) == adapter(by_two)
    assert lock.owner(run.lock_file) is None


@pytest.mark.faults
@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_under_torchrun_all_end_together(prepared: RunFolder, ending: str) -> None:
    """Stopped as any run is; or one process is killed, and the run says so."""
    run = copied(prepared, f"torchrun-{ending}")
    text = run.preset_file.read_text().replace("max_steps = 8", "max_steps = 100000")
    run.preset_file.write_text(text)
    with _agent("--standalone --nproc-per-node=2", run) as agent:
        try:
            wait_for_steps(run, 3)
            ranks = psutil.Process(agent.pid).children()
            (second,) = [rank for rank in ranks if rank.environ().get("RANK") == "1"]
            if ending == "stop":
                assert launch.stop(run, limit_s=60)
            else:
                second.kill()
            said = agent.communicate(timeout=120)[0]
        finally:
            agent.kill()
    assert len(ranks) == 2 and not [rank for rank in ranks if rank.is_running()]
    state, done = state_of(run), len(steps_of(run))
    if ending == "stop":
        assert state.status == "stopped", said
        assert (run.training("sft") / f"step-{done:06d}" / "manifest.json").is_file()
    else:
        assert state.error.startswith("another rank ended during training"), said


@pytest.mark.slow
def test_the_command_itself_may_be_started_by_torchrun(
    prepared: RunFolder, by_two: RunFolder
) -> None:
    """As docs/multi-gpu.md has it: the first front starts the worker, the second one follows it."""
    preset = prepared.path.parent.parent / "tiny.toml"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "workbench", "--preset", str(preset), "--name", "by-command", "--json"]
    runs = {"WORKBENCH_RUNS": str(prepared.path.parent)}
    done = subprocess.run(
        command, env={**_environment(), **runs}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    run = RunFolder(prepared.path.with_name("by-command"))
    assert adapter(run) == adapter(by_two)
    assert done.stdout.count('"kind":"exit"') + done.stdout.count('"kind": "exit"') == 1


@pytest.mark.slow
def test_two_processes_that_share_the_weights_train_what_one_does(prepared: RunFolder) -> None:
    alone, shared = copied(prepared, "for-shared", processes=1), copied(prepared, "shared")
    text = shared.preset_file.read_text()
    assert 'sharding = "none"' in text
    shared.preset_file.write_text(text.replace('sharding = "none"', 'sharding = "full"'))
    assert work(alone, "train") == 0 and work(shared, "train") == 0, state_of(shared).error
    plan = state_of(shared).stages["train:sft"].plan
    assert plan is not None and plan.processes == 2 and plan.shared
    one, two = losses(alone), losses(shared)
    assert two["train"] == pytest.approx(one["train"], abs=1e-5)
    assert two["validation"] == pytest.approx(one["validation"], abs=1e-5)


def _environment() -> dict[str, str]:
    """The same bits need the same number of threads."""
    threads = environment(0, 2, 1, os.environ)["OMP_NUM_THREADS"]
    return {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": threads}


def _agent(options: str, run: RunFolder) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run"]
    command += [*options.split(), "-m", "workbench.pipeline.worker", str(run.path)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=_environment(),
    )
