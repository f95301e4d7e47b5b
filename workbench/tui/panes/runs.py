"""All runs: how they stand, and what can be done with one."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

from textual.app import ComposeResult

from workbench.tui.actions import Action
from workbench.tui.pane import Pane
from workbench.tui.widgets.runlist import RunList


class RunsPane(Pane):
    """The list of runs; the one under the cursor is the current one."""

    ID = "runs"
    HELP = "All runs below the runs folder, the newest first. Train shows the one under the cursor."
    ACTIONS = (Action("runs.open", "enter", "Open", "Show the run's curves in Train."),)

    def compose(self) -> ComposeResult:
        yield RunList()

    def on_mount(self) -> None:
        self.runs_changed(set())

    def runs_changed(self, changed: Set[Path]) -> None:
        self.query_one(RunList).show(self.screen_app.watching)

    def on_rows_moved(self, message: RunList.Moved) -> None:
        self.screen_app.choose(self.screen_app.watching.runs[message.index])

    async def action_open(self) -> None:
        await self.screen_app.go("train")
