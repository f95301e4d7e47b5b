"""The background process of a run: `python -m workbench.pipeline.worker RUN [--stages a,b]`.

Takes the run's lock, does the stages in order, and tells everything through the event log; the
last event of a life is `run_done`, `run_stopped` or `run_failed`. SIGHUP is ignored, so a lost
terminal changes nothing. SIGTERM and SIGINT mean: checkpoint at the next safe point, then leave;
a second one: leave now. Of the processes that torchrun starts the first is the worker, and the
others, whatever they are given, train beside it.
"""

from __future__ import annotations

import argparse
import errno
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from workbench import __version__
from workbench.core.errors import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    Interrupted,
    UserError,
    WorkbenchError,
)
from workbench.core.runtime import garbage_collection_paused
from workbench.pipeline.training.distributed import torchrun
from workbench.pipeline.training.distributed.rank import take_rank_environment
from workbench.run import control, events
from workbench.run.control import StopSignal
from workbench.run.folder import RunFolder
from workbench.run.lock import Lock
from workbench.run.log import EventLog


def main(arguments: Sequence[str] | None = None) -> int:
    """Work on the run; returns the exit status, which the last event holds too."""
    parser = argparse.ArgumentParser(prog="workbench.pipeline.worker")
    parser.add_argument("run", type=Path)
    parser.add_argument("--stages", default="")
    options = parser.parse_args(arguments)
    place = take_rank_environment(os.environ)
    if place and place.rank:
        return torchrun.run_follower(place)
    run = RunFolder(options.run.resolve())
    wanted = tuple(part for part in options.stages.split(",") if part)
    stop_signal = StopSignal(run.control)
    stop_signal.listen()
    try:
        lock = Lock(run.lock_file)
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    log = EventLog(run.events_file)
    try:
        if place is None:
            return work(run, log, wanted, stop_signal)
        return torchrun.run_leader(place, lambda ours: work(run, log, wanted, stop_signal, ours))
    finally:
        log.close()
        lock.release()


def work(
    run: RunFolder,
    log: EventLog,
    wanted: tuple[str, ...],
    should_stop: Callable[[], bool],
    ours: torchrun.TorchrunGroup | None = None,
) -> int:
    """Do the stages and write how it ended."""
    started = time.monotonic()
    run.make_folders()
    try:
        with garbage_collection_paused():
            from workbench.pipeline.stages import plan_stages, run_stages
            from workbench.pipeline.system_load import SystemLoadMonitor

            plan = plan_stages(run, wanted)
        names = [stage.name for stage in plan if stage.wanted]
        pid, host = os.getpid(), socket.gethostname()
        log.append(events.RunStarted(pid=pid, host=host, version=__version__, stages=names))
        with SystemLoadMonitor(log.append):
            run_stages(run, plan, log, should_stop, ours)
    except BaseException as error:
        ending, status = explain(error, run)
    else:
        ending, status = events.RunDone(elapsed_s=time.monotonic() - started), 0
    control.clear(run.control, "stop")
    _say(log, ending)
    return status


def explain(error: BaseException, run: RunFolder) -> tuple[events.Event, int]:
    """The ending event and the exit status of what went wrong; bugs leave a traceback."""
    if isinstance(error, Interrupted | KeyboardInterrupt):
        return events.RunStopped(reason=str(error)), EXIT_INTERRUPTED
    traceback.print_exception(error)
    if isinstance(error, WorkbenchError):
        return events.RunFailed(error=str(error), status=error.exit_status), error.exit_status
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason = f"disk full: free some space, then run: workbench resume {run.name}"
    elif _out_of_memory(error):
        reason = (
            f"out of memory{_said(error)}: free some memory, then run: workbench resume {run.name}"
        )
    else:
        reason = f"{type(error).__name__}{_said(error)} (details: {run.log_file})"
    return events.RunFailed(error=reason, status=EXIT_FAILED), EXIT_FAILED


def _out_of_memory(error: BaseException) -> bool:
    """Whether it says so in its own words or in torch's, where torch was at work at all."""
    if "torch" not in sys.modules:
        return isinstance(error, MemoryError)
    from workbench.pipeline.training.device import out_of_memory

    return out_of_memory(error)


def _said(error: BaseException) -> str:
    """`: ` and the first line of what it says, if it says anything."""
    first = str(error).strip().splitlines()
    return f": {first[0]}" if first else ""


def _say(log: EventLog, ending: events.Event) -> None:
    """The last word, forced to disk; on a full disk the worker's log has it instead."""
    try:
        log.append(ending)
        log.sync()
    except OSError as error:
        print(f"{ending} could not be logged: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
