"""The line of panes at the top: number, title, which one is in view. A click goes there."""

from __future__ import annotations

from rich.text import Text
from textual import events
from textual.message import Message

from workbench.tui.pane_list import PANES
from workbench.tui.widgets.bar import Bar


class PaneTabs(Bar):
    """`1 Runs  2 Data ...`, with the runs at work at the right."""

    class Pressed(Message):
        """A click on a pane's title."""

        def __init__(self, pane_id: str) -> None:
            super().__init__()
            self.pane_id = pane_id

    DEFAULT_CSS = "PaneTabs { background: $panel; }"

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id)
        self._places: list[tuple[int, int, str]] = []
        self._told: tuple[set[str], str, str] = (set(), "", "")

    def on_resize(self) -> None:
        self.tell(*self._told)

    def tell(self, shown: set[str], focused: str, aside: str) -> None:
        """Draw the tabs: `shown` panes are in view, `focused` has the keys."""
        self._told = (shown, focused, aside)
        text = Text()
        self._places.clear()
        for spec, (piece, gap) in zip(PANES, self._pieces(focused), strict=True):
            start = len(text)
            style = "bold reverse" if spec.id == focused else "bold" if spec.id in shown else "dim"
            text.append(piece, style)
            self._places.append((start, len(text), spec.id))
            text.append(gap)
        room = self.size.width - len(text) - 1
        if 0 < len(aside) <= room:
            text.append(aside.rjust(room), "dim")
        self.show(text)

    def _pieces(self, focused: str) -> list[tuple[str, str]]:
        """Each tab and the gap after it: by the width alone, so that tabs stay put.

        Where there is no room for all titles, only that of the focused pane is there.
        """
        titles = [f" {spec.key} {spec.title}" for spec in PANES]
        spare = (self.size.width - sum(map(len, titles))) / len(PANES)
        if spare < 0:
            return [
                (title if spec.id == focused else f" {spec.key}", "")
                for spec, title in zip(PANES, titles, strict=True)
            ]
        behind, gap = (" ", " ") if spare > 4 else (" ", "") if spare >= 1 else ("", "")
        return [(title + behind, gap) for title in titles]

    def on_click(self, event: events.Click) -> None:
        for start, end, pane_id in self._places:
            if start <= event.x < end:
                self.post_message(self.Pressed(pane_id))
