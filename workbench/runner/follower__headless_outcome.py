"""How a run ended, in one line and an exit status."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from workbench.core.errors import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED
from workbench.run import events
from workbench.run.folder import RunFolder
from workbench.run.state import RunState
from workbench.core.text import one_line, visible

LOG_TAIL_BYTES = 8192


@dataclass(frozen=True)
class Outcome:
    """The exit status, and the last line for the person ("" when all went well)."""

    status: int
    line: str = ""


def outcome(
    run: RunFolder, state: RunState, ending: events.Event | None, returncode: int | None = None
) -> Outcome:
    """What the worker's last event says, or, without one, that it died and how.

    `returncode` is the worker's, where it is known: negative for a signal.
    """
    match ending:
        case events.RunDone():
            return Outcome(EXIT_DONE)
        case events.RunFailed():
            return Outcome(ending.status, visible(ending.error))
        case events.RunStopped():
            return Outcome(EXIT_INTERRUPTED, f"stopped{_kept(run, state)}")
    return Outcome(EXIT_FAILED, f"the worker died{_cause(run, returncode)}{_kept(run, state)}")


def interrupted(run: RunFolder, state: RunState, at_work: bool) -> Outcome:
    """The front left after a second Ctrl+C, with the worker gone or still at it."""
    if at_work:
        line = f"the worker is still running; watch it: workbench attach {run.name}"
        return Outcome(EXIT_INTERRUPTED, line)
    return Outcome(EXIT_INTERRUPTED, f"aborted{_kept(run, state)}")


def _kept(run: RunFolder, state: RunState) -> str:
    stage = state.stages.get(state.stage)
    step = stage.saved_step if stage else 0
    kept = f"progress up to step {step:,} is saved" if step else "finished stages are kept"
    return f"; {kept}: workbench resume {run.name}"


def _cause(run: RunFolder, returncode: int | None) -> str:
    if returncode is not None and returncode < 0:
        memory = ", possibly out of memory" if returncode == -signal.SIGKILL else ""
        return f" (signal {-returncode}{memory})"
    last = _last_line(run)
    said = f"; last log line: {last}" if last else ""
    return f" (exit status {returncode}{said})" if returncode is not None else said


def _last_line(run: RunFolder) -> str:
    """The last thing that the worker or a library of its wrote to `worker.log`."""
    try:
        with open(run.log_file, "rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - LOG_TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    said = [line for line in lines if line.strip()]
    return one_line(said[-1], 200) if said else ""
