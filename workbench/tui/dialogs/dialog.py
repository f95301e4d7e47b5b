"""The frame of all dialogs: a box in the middle, its question on top, Esc to leave.

`Confirm` accepts only y, for what cannot be undone. `Entry` takes one line and checks it while it
is typed: the error is shown below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from workbench.core.text import visible

Answer = TypeVar("Answer")


class Dialog(ModalScreen[Answer | None], Generic[Answer]):
    """Base of the dialogs; its answer is None when the person left it."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "leave", "Close")]
    DEFAULT_CSS = """
    Dialog { align: center middle; background: $background 60%; }
    Dialog > Vertical {
        width: 76; max-width: 96%; height: auto; max-height: 90%;
        border: round $primary; background: $surface; padding: 0 1;
    }
    Dialog Input { margin: 1 0; background: $panel; }
    Dialog .hint { color: $text-muted; height: auto; }
    Dialog .fault { color: $text-error; height: auto; }
    """

    def action_leave(self) -> None:
        self.dismiss(None)


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
