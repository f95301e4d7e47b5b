"""What a person does to runs, as the command line would: start, resume, stop and the rest.

Workers are started through `workbench.run.launch` alone, in a thread, as that waits until the
worker has taken the run. Each of these raises UserError where the command would.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from workbench.core import files
from workbench.core.errors import UserError
from workbench.run import control, folder, launch, lock
from workbench.run.export_requests import ExportRequest
from workbench.run.folder import RunFolder

Started = tuple[RunFolder, "subprocess.Popen[bytes]"]


def start(preset: str, root: Path, overrides: Sequence[str] = ()) -> Started:
    """Make a run of a preset and start its worker; the heavy reading of presets happens here."""
    from workbench.runner import preflight
    from workbench.runner.frozen_preset import freeze, frozen
    from workbench.preset.loader import load

    loaded = load(preset, overrides)
    preflight.check(loaded, root)
    frozen(loaded)  # before the folder is made: a path that is not there leaves nothing behind
    made = folder.create(root, loaded.name)
    freeze(loaded, made)
    return made, launch.start(made, worker=launch.WORKER)


def resume(run: RunFolder) -> Started:
    """Start the run's worker again."""
    return run, launch.start(run, worker=launch.WORKER)


def export(run: RunFolder, request: ExportRequest) -> Started:
    """Start the run's worker for one more export."""
    return run, launch.start(run, [request.stage], launch.WORKER)


def ask(run: RunFolder, request: control.Request) -> None:
    """Ask the worker to stop or to write a checkpoint, at its next safe point."""
    if lock.owner(run.lock_file) is None:
        raise UserError(f"{run.name} is not running", hint="press r to resume it")
    control.ask(run.control, request)


def rename(run: RunFolder, name: str) -> RunFolder:
    """Give the run's folder another name, beside where it lies."""
    _refuse_at_work(run)
    fault = name_fault(name, run)
    if fault:
        raise UserError(fault)
    target = run.path.with_name(name)
    files.rename(run.path, target)
    return RunFolder(target)


def delete(run: RunFolder) -> None:
    """Remove the run's folder and all in it."""
    _refuse_at_work(run)
    files.remove_folder(run.path)


def name_fault(name: str, run: RunFolder) -> str:
    """What is wrong with the name, "" when it can be taken."""
    if not folder.RUN_NAME.fullmatch(name):
        return "use only letters, digits, '.', '_' and '-', starting with a letter or digit"
    if name != run.name and run.path.with_name(name).exists():
        return f"'{name}' already exists"
    return ""


def ending(run: RunFolder, process: subprocess.Popen[bytes]) -> str:
    """How a worker of ours that is gone has ended, in a line; "" when all went well."""
    from workbench.runner.follower__headless_outcome import outcome
    from workbench.run.events import ENDINGS, Event, RunStarted
    from workbench.run.log import skim
    from workbench.run.state import RunState

    state, last = RunState(), None
    records = skim(run.events_file)
    state.apply(records)
    for record in records:
        event: Event = record.event
        if isinstance(event, (*ENDINGS, RunStarted)):
            last = None if isinstance(event, RunStarted) else event
    return outcome(run, state, last, process.returncode).line


def _refuse_at_work(run: RunFolder) -> None:
    if lock.owner(run.lock_file):
        raise UserError(f"{run.name} is still running", hint="stop it first")
