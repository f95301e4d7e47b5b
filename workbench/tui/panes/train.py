"""A run's training: curves, figures, answers, notes, log."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult

from workbench.tui.pane import Pane
from workbench.tui.widgets.bar import Bar


class TrainPane(Pane, can_focus=True):
    """The current run as it trains."""

    ID = "train"
    HELP = "The current run's training."

    def compose(self) -> ComposeResult:
        yield Bar("head")

    def focus_first(self) -> None:
        self.focus()

    def run_chosen(self) -> None:
        run = self.screen_app.current
        self.query_one(Bar).show(Text(f" {run.name}" if run else " no run"))

    def runs_changed(self, changed: Set[Path]) -> None:
        self.run_chosen()
