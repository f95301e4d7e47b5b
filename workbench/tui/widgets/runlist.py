"""The table of runs as a list of lines."""

from __future__ import annotations

from rich.text import Text

from workbench.tui.glance import MARKS
from workbench.tui.watching import Watching
from workbench.tui.widgets.rows import Rows


class RunList(Rows):
    """One line a run."""

    def show(self, watching: Watching) -> None:
        """Draw the runs as they are now."""
        self._watching = watching
        self.changed(len(watching.runs))

    def row(self, index: int) -> Text:
        seen = self._watching.glance(self._watching.runs[index])
        return Text(f" {MARKS[seen.standing]} {seen.name}")
