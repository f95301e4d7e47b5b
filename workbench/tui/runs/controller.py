"""What a person does to runs, as the command line would: start, resume, stop and the rest.

Workers are started through `workbench.run.launch` alone, in a thread, as that waits until the
worker holds the run's lock. Each action raises UserError where the command would.

A worker outlives the screen. While both live its process is waited for, so that a worker that ends
at once (an error in the data, no memory) is reported in a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.core import files
from workbench.core.errors import UserError
from workbench.core.subprocesses import Process, let_go
from workbench.run import control, folder, launch, lock
from workbench.run.export_requests import ExportRequest
from workbench.run.folder import RunFolder

if TYPE_CHECKING:
    from workbench.tui.host import Host

Started = tuple[RunFolder, Process]


def start(preset: str, root: Path, overrides: Sequence[str] = ()) -> Started:
    """Make a run of a preset and start its worker; the heavy reading of presets happens here."""
    from workbench.preset.loader import load
    from workbench.runner import preflight
    from workbench.runner.frozen_preset import freeze, with_absolute_paths

    loaded = load(preset, overrides)
    preflight.check(loaded, root)
    with_absolute_paths(
        loaded
    )  # before the folder is made: a path that is not there leaves nothing behind
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
    control.send_request(run.control, request)


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


def ending(run: RunFolder, process: Process) -> str:
    """How a worker of ours that is gone has ended, in a line; "" when all went well."""
    from workbench.run.events import ENDINGS, Event, RunStarted
    from workbench.run.log import skim
    from workbench.run.state import RunState
    from workbench.runner.follower import outcome

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


class RunController:
    """Belongs to the host; all its methods are called from the app's own thread."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._started: list[Started] = []

    def new_run(self) -> None:
        """Ask for a preset, then start a run of it."""
        from workbench.preset.lookup import list_presets
        from workbench.tui.dialogs.picker import Picker

        hint = "same as: workbench --preset NAME --detach"
        self._host.push_screen(
            Picker("Start a run from which preset?", list_presets(), hint),
            lambda name: self.start(name) if name else None,
        )

    def start(self, preset: str, *overrides: str) -> None:
        """Start a run of a preset with `KEY=VALUE` overrides; it becomes the current one."""
        self._host.say(f"starting {preset}: reading the preset and data ...")
        sets = [word for override in overrides for word in ("--set", override)]
        command = ["--preset", preset, *sets, "--detach"]

        def then(started: Started) -> None:
            self._take(started, command)

        root = self._host.watching.root
        self._host.in_background(lambda: start(preset, root, overrides), then)

    def resume(self, run: RunFolder) -> None:
        """Start the run's worker again."""
        self._host.say(f"resuming {run.name} ...")
        command = ["resume", run.name, "--detach"]
        self._host.in_background(lambda: resume(run), lambda started: self._take(started, command))

    def export(self, run: RunFolder, request: ExportRequest) -> None:
        """Have the run's worker export it in more types; the run becomes the current one."""
        self._host.say(f"exporting {run.name} to {', '.join(request.words)} ...")
        types = [word for name in request.types for word in ("--type", name)]
        command = ["export", run.name, *types, *(["--merged"] if request.merged else [])]
        self._host.in_background(
            lambda: export(run, request), lambda started: self._take(started, command)
        )

    def stop(self, run: RunFolder) -> None:
        """Ask the worker to stop at its next safe point, with a checkpoint."""
        ask(run, "stop")
        self._host.say_command("stop", run.name)

    def checkpoint(self, run: RunFolder) -> None:
        """Ask the worker for a checkpoint at the end of its step."""
        ask(run, "checkpoint")
        self._host.say(f"{run.name} will save a checkpoint at the end of the current step")

    def kill(self, run: RunFolder) -> None:
        """Ask the person, then end the worker at once (SIGTERM)."""
        from workbench.tui.dialogs.dialog import Confirm

        def then(yes: bool | None) -> None:
            if yes and launch.terminate(run):
                self._host.say(f"{run.name}: SIGTERM sent")
            elif yes:
                self._host.say_error(UserError(f"{run.name} is not running"))

        details = "It saves a checkpoint if it can. Press s instead to stop at the next safe point."
        self._host.push_screen(Confirm(f"Terminate the worker of {run.name}?", details), then)

    def reap(self) -> None:
        """Take leave of workers of ours that are gone; tell of one that ended badly."""
        for started in list(self._started):
            run, process = started
            if process.poll() is None:
                continue
            self._started.remove(started)
            line = ending(run, process)
            if line and process.returncode not in (0, 130):
                self._host.say(f"{run.name}: {line}", "error")

    def let_go(self) -> None:
        """The screen ends, the workers go on: Python need not wait for them, nor warn."""
        for _, process in self._started:
            let_go(process)

    def _take(self, started: Started, command: list[str]) -> None:
        self._started.append(started)
        self._host.watching.list_again()
        self._host.poll()
        self._host.choose(started[0])
        self._host.say_command(*command)
        self.reap()
