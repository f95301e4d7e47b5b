"""All that the status bar has said, the newest on top: what was done, and the command lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.geometry import Size
from textual.widgets import Static

from workbench.tui.dialogs.dialog import Dialog
from workbench.tui.styled_text import styled
from workbench.tui.widgets.bar import MARKS, STYLES, Level
from workbench.tui.widgets.row_list import RowList

if TYPE_CHECKING:
    from workbench.tui.host import Host


class Said(RowList):
    """One line a row, each in the colour of its kind."""

    DEFAULT_CSS = "Said { height: auto; max-height: 14; }"

    def __init__(self, lines: Sequence[tuple[Level, str]]) -> None:
        super().__init__()
        self.lines = list(lines)

    def on_mount(self) -> None:
        self.changed(len(self.lines))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return max(1, len(self.lines))

    def row(self, index: int) -> Text:
        level, line = self.lines[index]
        return styled(f"{MARKS[level]}{line}", STYLES[level])


class Messages(Dialog[None]):
    """`y` copies the line under the cursor, whose whole text stands below."""

    BINDINGS: ClassVar[list[BindingType]] = [("y", "copy", "Copy"), ("q,M", "leave", "Close")]
    DEFAULT_CSS = "Messages > Vertical { width: 110; }"

    def __init__(self, said: Sequence[tuple[Level, str]]) -> None:
        super().__init__()
        self._said = list(reversed(said))

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static("Messages and commands, newest first", markup=False)
            yield Said(self._said)
            yield Static("", markup=False, id="whole")
            yield Static("y copy   Esc close", markup=False, classes="hint")

    def on_mount(self) -> None:
        self.on_row_list_moved()

    def on_row_list_moved(self) -> None:
        """A row may have cut its line: here it is whole."""
        self.query_one("#whole", Static).update(self._chosen or "no messages yet")

    def action_copy(self) -> None:
        cast("Host", self.app).copy(self._chosen, "the line")

    @property
    def _chosen(self) -> str:
        return self._said[self.query_one(Said).cursor][1] if self._said else ""
