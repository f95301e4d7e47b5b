"""One line of the screen's frame that repaints only when its text has changed."""

from __future__ import annotations

from rich.text import Text
from textual.widget import Widget

from workbench.tui.styled_text import same


class Bar(Widget):
    """A line of styled text; `show` it anew as often as you like."""

    DEFAULT_CSS = """
    Bar { height: 1; width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }
    """
    ALLOW_SELECT = False

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.text = Text()

    def show(self, text: Text) -> None:
        """Put the text there; nothing is written to the terminal if it is the same."""
        if not same(text, self.text):
            self.text = text
            self.refresh()

    def render(self) -> Text:
        return self.text
