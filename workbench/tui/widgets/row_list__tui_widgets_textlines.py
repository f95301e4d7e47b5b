"""Lines of text to read and scroll through; for what is short enough to be laid out at once."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from rich.text import Text
from textual.geometry import Size

from workbench.tui.styled_text import same
from workbench.tui.widgets.row_list import Rows

WHOLE = 24  # facts of at most so many characters, and of half a line, are not broken
GLUE = "\ue000"  # in the place of their spaces while a line is broken: no text has it


class TextLines(Rows):
    """`tell` it the lines; without the focus no cursor is seen."""

    DEFAULT_CSS = "TextLines > .rows--dim-cursor { background: $background 0%; }"

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.lines: list[Text] = []

    def tell(self, lines: Sequence[Text]) -> None:
        """Show these lines; nothing is drawn when they are the same."""
        grown = len(lines) != len(self.lines)
        if grown or not all(map(same, lines, self.lines)):
            self.lines = list(lines)
            self.changed(len(lines))
            if grown:
                self.refresh(layout=True)

    def row(self, index: int) -> Text:
        return self.lines[index].copy()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self.lines)


def wrapped(lines: Sequence[Text], width: int) -> list[Text]:
    """The lines (each of one style) broken to a width; what goes on is indented a little more.

    Two spaces divide a line into facts (`duplicates: 1  findings: 1`); a short one stays whole.
    """
    found: list[Text] = []
    for line in lines:
        whole = min(WHOLE, width // 2)
        plain = "".join(_glued(fact, whole) for fact in re.split("(  +)", line.plain))
        indent = plain[: len(plain) - len(plain.lstrip())] + "  "
        parts = textwrap.wrap(plain, max(20, width), subsequent_indent=indent)
        found += [Text(part.replace(GLUE, " "), line.style) for part in parts or [""]]
    return found


def _glued(fact: str, whole: int) -> str:
    return re.sub(r"(?<=\S) (?=\S)", GLUE, fact) if len(fact) <= whole else fact
