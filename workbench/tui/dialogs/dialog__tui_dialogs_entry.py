"""One line to type, checked as it is typed: what is wrong stands below it."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Static

from workbench.core.text import visible
from workbench.tui.dialogs.dialog import Dialog


class Entry(Dialog[str]):
    """`push_screen(Entry("New name", value, check), callback)`; `check` gives the fault or ""."""

    def __init__(
        self, question: str, value: str = "", check: Callable[[str], str] = lambda text: ""
    ) -> None:
        super().__init__()
        self._question, self._value, self._check = question, value, check

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(visible(self._question), markup=False)
            yield Input(self._value, select_on_focus=False, compact=True)
            yield Static("", markup=False, classes="fault", id="fault")
            yield Static("Enter accept   Esc cancel", markup=False, classes="hint")

    def on_input_changed(self, event: Input.Changed) -> None:
        self.query_one("#fault", Static).update(visible(self._check(event.value)))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if not self._check(event.value):
            self.dismiss(event.value)
