"""Correct an answer: a dialog for its text and its dataset, and the result in the status bar.

Chat and Evaluate send their answers this way; the last file is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static, TextArea

from workbench.core.errors import UserError
from workbench.core.text import one_line, visible
from workbench.tui.dialogs.dialog import Dialog

if TYPE_CHECKING:
    from workbench.dataset.rows import Message
    from workbench.tui.host import Host


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


CORRECTIONS = "corrections.jsonl"


def correct(
    host: Host, asked: Sequence[Message], answer: str, *, rejected: str, said_by: str
) -> None:
    """Ask for the right answer, beginning with `answer`; append it behind what was asked.

    `rejected` is what the model `said_by` answered: the pair is kept beside the rows.
    """

    path = host.memory.corrections or CORRECTIONS

    def then(given: tuple[str, str] | None) -> None:
        if given:
            host.guarded(lambda: _append(host, asked, *given, rejected, said_by))

    host.push_screen(Correction(asked[-1].content, answer, path, _target_fault), then)


def _append(
    host: Host,
    asked: Sequence[Message],
    answer: str,
    typed: str,
    rejected: str,
    said_by: str,
) -> None:
    from workbench.dataset.corrections import append, keep_pair
    from workbench.dataset.rows import ASSISTANT, Message

    tags = ("corrected", said_by)
    written = append(Path(typed), [*asked, Message(ASSISTANT, answer)], tags)
    host.memory.corrections = str(Path(typed).expanduser().absolute())
    left = f"; {written.left_out} earlier messages omitted" if written.left_out else ""
    pair = keep_pair(written.place, asked, answer, rejected, said_by)
    kept = f"; rejected response saved in {pair.name}" if pair else ""
    host.say(f"row appended: {written.place} ({written.format}){left}{kept}")


def _target_fault(typed: str) -> str:
    from workbench.dataset.corrections import format_of

    if not typed.strip():
        return "give a file"
    try:
        format_of(Path(typed))
    except UserError as error:
        return str(error)
    return ""
