"""Lines of text to read and scroll through; for what is short enough to be laid out at once."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.geometry import Size

from workbench.tui.widgets.rows import Rows


class TextLines(Rows):
    """`tell` it the lines; without the focus no cursor is seen."""

    DEFAULT_CSS = "TextLines > .rows--dim-cursor { background: $background 0%; }"

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.lines: list[Text] = []

    def tell(self, lines: Sequence[Text]) -> None:
        """Show these lines; nothing is drawn when they are the same."""
        if [(line, line.spans) for line in lines] != [(line, line.spans) for line in self.lines]:
            grown = len(lines) != len(self.lines)
            self.lines = list(lines)
            self.changed(len(lines))
            if grown:
                self.refresh(layout=True)

    def row(self, index: int) -> Text:
        return self.lines[index].copy()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self.lines)
