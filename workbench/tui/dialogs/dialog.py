"""What all dialogs look like: a box in the middle, its question on top, Esc to leave."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from textual.binding import BindingType
from textual.screen import ModalScreen

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
