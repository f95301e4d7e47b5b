"""The tokens of an answer, one a row: how probable each was, and what stood in its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.geometry import Size
from textual.widgets import Static

from workbench.core.text import one_line
from workbench.tui.dialogs.dialog import Dialog
from workbench.tui.styled_text import styled
from workbench.tui.widgets.row_list import RowList

if TYPE_CHECKING:
    from workbench.inference.logprobs import TokenLogprob

SURE, UNSURE = 0.9, 0.5


class TokenRows(RowList):
    """The colour tells how sure the model was; a name stands above the tokens of each model."""

    DEFAULT_CSS = "TokenRows { height: auto; max-height: 20; }"

    def __init__(self, found: Sequence[tuple[str, Sequence[TokenLogprob]]]) -> None:
        super().__init__()
        self._lines = [line for name, tokens in found for line in _lines(name, tokens)]

    def on_mount(self) -> None:
        self.changed(len(self._lines))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return max(1, len(self._lines))

    def row(self, index: int) -> Text:
        return self._lines[index]


class Tokens(Dialog[None]):
    """`push_screen(Tokens([(model, its tokens), ...]))`."""

    BINDINGS: ClassVar[list[BindingType]] = [("q,t", "leave", "Close")]
    DEFAULT_CSS = "Tokens > Vertical { width: 100; }"

    def __init__(self, found: Sequence[tuple[str, Sequence[TokenLogprob]]]) -> None:
        super().__init__()
        self._found = found

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static("Response tokens: probability and most likely alternatives", markup=False)
            yield TokenRows(self._found)
            yield Static("at temperature 1, unfiltered   Esc close", classes="hint")


def _lines(name: str, tokens: Sequence[TokenLogprob]) -> list[Text]:
    return [styled(one_line(name), "bold"), *(styled(str(one), _style(one)) for one in tokens)]


def _style(one: TokenLogprob) -> str:
    if one.probability >= SURE:
        return ""
    return "yellow" if one.probability >= UNSURE else "bold red"
