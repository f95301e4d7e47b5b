"""The line above the footer: what was done last, as words or as the command line that does it."""

from __future__ import annotations

from typing import Literal

from rich.text import Text

from workbench.text import one_line
from workbench.tui.widgets.bar import Bar

Level = Literal["info", "command", "warning", "error"]
MARKS = {"info": "", "command": "$ ", "warning": "! ", "error": "✗ "}
STYLES = {"info": "", "command": "bold", "warning": "yellow", "error": "bold red"}


class StatusBar(Bar):
    """Keeps the last line until the next one; text from outside is made visible."""

    DEFAULT_CSS = "StatusBar { background: $surface; }"

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id)
        self.line = ""

    def say(self, line: str, level: Level = "info") -> None:
        """Show one line; all lines of a longer text are joined."""
        self.line = one_line(line, 400)
        self.show(Text(f" {MARKS[level]}{self.line}", STYLES[level]))
