"""Start a worker that outlives its starter, and see whether it lives.

The worker is a new session with its output in a file: no terminal, no pipe, nothing of the
starter's that could close under it. It is never forked from a screen's process.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from workbench.core.errors import RunFailed, UserError
from workbench.core.subprocesses import Process, start_detached
from workbench.run import control, lock
from workbench.run.folder import RunFolder

START_LIMIT_S = 60.0
WORKER = (sys.executable, "-m", "workbench.pipeline.worker")
MAX_LOG_BYTES = 10 << 20

# What a person may set otherwise. Threads that wait for each other asleep instead of spinning:
# beside other work on the machine training is two to six times as fast by it.
DEFAULTS = {"OMP_WAIT_POLICY": "PASSIVE"}

# Libraries that would draw, phone or fork on their own are told not to, before they are imported.
ENVIRONMENT = {
    "GGML_NO_BACKTRACE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "PYTHONFAULTHANDLER": "1",
    "PYTHONUNBUFFERED": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "warning",
}


def start(run: RunFolder, stages: Sequence[str] = (), worker: Sequence[str] = WORKER) -> Process:
    """Start the run's worker and return once it holds the lock (or has already ended).

    `stages` limits the work to these stages; `worker` is the command that is given the folder.
    Raises UserError when a worker is on it already.
    """
    if lock.owner(run.lock_file):
        raise lock.acquire_lock(run.lock_file)
    rotate(run.log_file)
    control.clear(run.control, "stop")
    command = [*worker, str(run.path)]
    if stages:
        command += ["--stages", ",".join(stages)]
    with open(run.log_file, "ab") as log:
        process = start_detached(command, log, folder=run.path, environment=_environment(run))
    _await_lock(run, process)
    return process


def torchrun_rank() -> int | None:
    """This process's number among several that torchrun started; None when it started none."""
    if int(os.environ.get("WORLD_SIZE") or 1) == 1 or not os.environ.get("RANK"):
        return None
    return int(os.environ["RANK"])


def refuse_other_ranks(detach: bool = False, worker: Sequence[str] = WORKER) -> None:
    """Under torchrun every process but the first becomes a follower of the first one's worker.

    Elsewhere, and in the first, nothing happens. Raises UserError where the first would `detach`.
    """
    rank = torchrun_rank()
    if rank is not None and detach:
        hint = "remove it: torchrun treats the end of the first process as the end of all"
        raise UserError("--detach does not work under torchrun", hint=hint)
    if rank:
        os.execve(worker[0], [*worker, "."], {**DEFAULTS, **os.environ, **ENVIRONMENT})


def stop(run: RunFolder, limit_s: float = 600.0) -> bool:
    """Ask the worker to stop with a checkpoint and wait for it; False when none is at work.

    Raises RunFailed when it has not stopped within `limit_s`.
    """
    if not lock.owner(run.lock_file):
        return False
    control.send_request(run.control, "stop")
    until = time.monotonic() + limit_s
    while lock.owner(run.lock_file):
        if time.monotonic() > until:
            raise RunFailed(
                f"{run.name} reached no safe point within {limit_s:.0f} s; still running"
            )
        time.sleep(0.1)
    return True


def rotate(log_file: Path, keep: int = 2) -> None:
    """Move a log of more than 10 MiB aside; `keep` older ones stay."""
    if not log_file.exists() or log_file.stat().st_size < MAX_LOG_BYTES:
        return
    for number in range(keep, 0, -1):
        older = log_file if number == 1 else log_file.with_name(f"{log_file.name}.{number - 1}")
        if older.exists():
            older.replace(log_file.with_name(f"{log_file.name}.{number}"))


def terminate(run: RunFolder) -> bool:
    """SIGTERM to the worker; False when there is none, or its pid has gone to somebody else."""
    owner = lock.owner(run.lock_file)
    if not owner or not owner.pid or not lock.is_alive(owner):
        return False
    os.kill(owner.pid, signal.SIGTERM)
    return True


def _environment(run: RunFolder) -> dict[str, str]:
    """Ours with the quiet settings; the worker finds this very package from its own folder."""
    package_root = str(Path(__file__).resolve().parents[2])
    given = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join(part for part in (package_root, given) if part)
    ours = {"PYTHONPATH": path, "WORKBENCH_RUNS": str(run.path.parent)}
    return {**DEFAULTS, **os.environ, **ENVIRONMENT, **ours}


def _await_lock(run: RunFolder, process: Process) -> None:
    until = time.monotonic() + START_LIMIT_S
    while process.poll() is None and time.monotonic() < until:
        owner = lock.owner(run.lock_file)
        if owner and owner.pid == process.pid:
            return
        time.sleep(0.02)
