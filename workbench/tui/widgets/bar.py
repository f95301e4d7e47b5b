"""One line of the screen's frame that repaints only when its text has changed."""

from __future__ import annotations

from rich.text import Text
from textual.widget import Widget


class Bar(Widget):
    """A line of styled text; `show` it anew as often as you like."""

    DEFAULT_CSS = "Bar { height: 1; width: 1fr; }"
    ALLOW_SELECT = False

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.text = Text(no_wrap=True, overflow="ellipsis")

    def show(self, text: Text) -> None:
        """Put the text there; nothing is written to the terminal if it is the same."""
        text.no_wrap, text.overflow = True, "ellipsis"
        if text != self.text or text.spans != self.text.spans:
            self.text = text
            self.refresh()

    def render(self) -> Text:
        return self.text
