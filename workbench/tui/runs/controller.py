"""The requests of a person to runs, with the words about them; and the workers started from here.

A worker outlives the screen. While both live its process is waited for, so that a worker that
ends at once (a fault in the data, no memory) is told of in a line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.core.errors import UserError
from workbench.run import launch
from workbench.run.export_requests import ExportRequest
from workbench.run.folder import RunFolder
from workbench.tui.runs import controller__tui_doing

if TYPE_CHECKING:
    from workbench.tui.host import Host


class Steering:
    """Belongs to the host; all its methods are called from the app's own thread."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._started: list[controller__tui_doing.Started] = []

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

        def then(started: controller__tui_doing.Started) -> None:
            self._take(started, command)

        root = self._host.watching.root
        self._host.in_background(lambda: controller__tui_doing.start(preset, root, overrides), then)

    def resume(self, run: RunFolder) -> None:
        """Start the run's worker again."""
        self._host.say(f"resuming {run.name} ...")
        command = ["resume", run.name, "--detach"]
        self._host.in_background(
            lambda: controller__tui_doing.resume(run), lambda started: self._take(started, command)
        )

    def export(self, run: RunFolder, request: ExportRequest) -> None:
        """Have the run's worker export it in more types; the run becomes the current one."""
        self._host.say(f"exporting {run.name} to {', '.join(request.words)} ...")
        types = [word for name in request.types for word in ("--type", name)]
        command = ["export", run.name, *types, *(["--merged"] if request.merged else [])]
        self._host.in_background(
            lambda: controller__tui_doing.export(run, request), lambda started: self._take(started, command)
        )

    def stop(self, run: RunFolder) -> None:
        """Ask the worker to stop at its next safe point, with a checkpoint."""
        controller__tui_doing.ask(run, "stop")
        self._host.say_command("stop", run.name)

    def checkpoint(self, run: RunFolder) -> None:
        """Ask the worker for a checkpoint at the end of its step."""
        controller__tui_doing.ask(run, "checkpoint")
        self._host.say(f"{run.name} will save a checkpoint at the end of the current step")

    def kill(self, run: RunFolder) -> None:
        """Ask the person, then end the worker at once (SIGTERM)."""
        from workbench.tui.dialogs.dialog__tui_dialogs_confirm import Confirm

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
            line = controller__tui_doing.ending(run, process)
            if line and process.returncode not in (0, 130):
                self._host.say(f"{run.name}: {line}", "error")

    def let_go(self) -> None:
        """The screen ends, the workers go on: Python need not wait for them, nor warn."""
        for _, process in self._started:
            process.returncode = 0

    def _take(self, started: controller__tui_doing.Started, command: list[str]) -> None:
        self._started.append(started)
        self._host.watching.list_again()
        self._host.poll()
        self._host.choose(started[0])
        self._host.say_command(*command)
        self.reap()
