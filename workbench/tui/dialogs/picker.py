"""Choose one of a list by moving or by typing a part of its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.geometry import Size
from textual.widgets import Input, Static

from workbench.core.text import one_line, visible
from workbench.tui.dialogs.dialog import Dialog
from workbench.tui.widgets.row_list import RowList

HEIGHT = 10


class Choices(RowList):
    """Name and description of what can be chosen."""

    DEFAULT_CSS = f"Choices {{ height: auto; max-height: {HEIGHT}; }}"

    def __init__(self, choices: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self.choices = list(choices)
        self._width = max((len(name) for name, _ in choices), default=0)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return max(1, self.count)

    def row(self, index: int) -> Text:
        name, about = self.choices[index]
        return Text.assemble(
            (one_line(name).ljust(self._width), "bold"), "  ", one_line(about, 200)
        )


class Picker(Dialog[str]):
    """`push_screen(Picker("Which preset?", [(name, about), ...]), callback)`; gives the name."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("down", "move(1)", "Down"),
        ("up", "move(-1)", "Up"),
    ]

    def __init__(self, question: str, choices: Sequence[tuple[str, str]], hint: str = "") -> None:
        super().__init__()
        self._question, self._all, self._hint = question, list(choices), hint

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(visible(self._question), markup=False)
            yield Input(placeholder="type to filter", compact=True)
            yield Choices(self._all)
            yield Static("", markup=False, classes="hint", id="about")
            if self._hint:
                yield Static(self._hint, markup=False, classes="hint")
            yield Static("Enter select   Esc cancel", markup=False, classes="hint")

    def on_mount(self) -> None:
        self._narrow("")

    def on_input_changed(self, event: Input.Changed) -> None:
        self._narrow(event.value)

    def on_input_submitted(self) -> None:
        self._take()

    def on_row_list_chosen(self) -> None:
        self._take()

    def on_row_list_moved(self) -> None:
        self._tell()

    def action_move(self, by: int) -> None:
        self.query_one(Choices).cursor += by

    def _narrow(self, part: str) -> None:
        words = part.lower().split()
        rows = self.query_one(Choices)
        rows.choices = [
            choice for choice in self._all if all(word in choice[0].lower() for word in words)
        ]
        rows.changed(len(rows.choices))
        rows.refresh(layout=True)
        self._tell()

    def _tell(self) -> None:
        """The whole of the description below the list: a row may have cut it."""
        rows = self.query_one(Choices)
        about = rows.choices[rows.cursor][1] if rows.choices else "no matches"
        self.query_one("#about", Static).update(one_line(about, 400))

    def _take(self) -> None:
        rows = self.query_one(Choices)
        if rows.choices:
            self.dismiss(rows.choices[rows.cursor][0])
