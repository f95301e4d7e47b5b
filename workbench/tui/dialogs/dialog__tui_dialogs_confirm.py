"""A question that only y answers with yes: for what cannot be undone."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Static

from workbench.core.text import visible
from workbench.tui.dialogs.dialog import Dialog


class Confirm(Dialog[bool]):
    """`push_screen(Confirm("Delete x?", "what goes"), callback)`; True for y."""

    BINDINGS: ClassVar[list[BindingType]] = [("y", "yes", "Yes"), ("n", "leave", "No")]

    def __init__(self, question: str, details: str = "") -> None:
        super().__init__()
        self._question, self._details = question, details

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(visible(self._question), markup=False)
            if self._details:
                yield Static(visible(self._details), markup=False, classes="hint")
            yield Static("y yes   n or Esc no", markup=False, classes="hint")

    def action_yes(self) -> None:
        self.dismiss(True)
