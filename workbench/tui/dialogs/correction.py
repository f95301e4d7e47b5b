"""An answer to put right, and the data set that gets it as a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static, TextArea

from workbench.core.text import one_line, visible
from workbench.tui.dialogs.dialog import Dialog


class Correction(Dialog[tuple[str, str]]):
    """Gives the answer and the file; `check` says what is wrong with the file's name, or ""."""

    BINDINGS: ClassVar[list[BindingType]] = [("f2", "take", "Append the row")]
    DEFAULT_CSS = """
    Correction > Vertical { width: 96; height: 90%; }
    Correction TextArea, Correction TextArea:focus {
        height: 1fr; border: none; background: $panel; padding: 0 1;
    }
    Correction Input { margin: 0; }
    Correction #question { max-height: 4; color: $text-muted; height: auto; }
    """

    def __init__(self, question: str, answer: str, path: str, check: Callable[[str], str]) -> None:
        super().__init__()
        self._question, self._answer, self._path, self._check = question, answer, path, check

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static("What should the response have been?", markup=False)
            yield Static(f"› {one_line(self._question, 300)}", markup=False, id="question")
            yield TextArea(self._answer, id="answer", highlight_cursor_line=False)
            yield Static("Append to file (.jsonl, or .txt with INPUT and OUTPUT)", markup=False)
            yield Input(self._path, id="path", compact=True, select_on_focus=False)
            yield Static("", markup=False, classes="fault", id="fault")
            hint = "Tab file name   F2 append the row   Esc cancel"
            yield Static(hint, markup=False, classes="hint")

    def on_mount(self) -> None:
        self.query_one(TextArea).focus()
        self._judge()

    def on_input_changed(self) -> None:
        self._judge()

    def on_text_area_changed(self) -> None:
        self._judge()

    def on_input_submitted(self) -> None:
        self.action_take()

    def action_take(self) -> None:
        if not self._judge():
            answer, path = self.query_one(TextArea).text, self.query_one("#path", Input).value
            self.dismiss((answer, path))

    def _judge(self) -> str:
        fault = "" if self.query_one(TextArea).text.strip() else "the response is empty"
        fault = fault or self._check(self.query_one("#path", Input).value)
        self.query_one("#fault", Static).update(visible(fault))
        return fault
