"""One line of the screen's frame that repaints only when its text has changed.

The line above the footer shows the last action, in words or as the command line for it.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

from rich.text import Text
from textual.widget import Widget

from workbench.core.text import one_line
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


Level = Literal["info", "command", "warning", "error"]
MARKS = {"info": "", "command": "$ ", "warning": "! ", "error": "✗ "}
STYLES = {"info": "", "command": "bold", "warning": "yellow", "error": "bold red"}
MAX_LINE = 2000
MAX_ROWS = 4
KEPT = 200


class StatusBar(Bar):
    """Keeps the last line until the next one; text from outside is made visible.

    A long line takes more rows for as long as it stands, at most four; `said` has all of them.
    """

    DEFAULT_CSS = "StatusBar { background: $surface; text-wrap: wrap; }"

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id)
        self.line = ""
        self.said: deque[tuple[Level, str]] = deque(maxlen=KEPT)
        self._rows = 1

    def say(self, line: str, level: Level = "info") -> None:
        """Show one line; all lines of a longer text are joined."""
        self.line = one_line(line, MAX_LINE)
        if not self.said or self.said[-1] != (level, self.line):
            self.said.append((level, self.line))
        self._draw(level)

    def on_resize(self) -> None:
        if self.said:
            self._draw(self.said[-1][0])

    def _draw(self, level: Level) -> None:
        width = self.size.width or 80
        cut = one_line(self.line, MAX_ROWS * (width - 8))
        text = Text(f" {MARKS[level]}{cut}", STYLES[level])
        rows = min(MAX_ROWS, len(text.wrap(self.app.console, width)))
        if rows != self._rows:
            self._rows = rows
            self.styles.height = rows
        self.show(text)
