"""A list of one-line rows with a cursor, of which only the visible ones are ever made.

A million rows cost as much as a screenful: a row is requested by its number when it is drawn. A
shorter text, to read and scroll through, is laid out at once.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from workbench.tui.actions import IN_LISTS, bindings
from workbench.tui.styled_text import CachedStyle, fit, same


class RowList(ScrollView, CachedStyle, can_focus=True):  # CSS follows the first base
    """Base of the lists: a subclass gives `row(index)`, and calls `changed` with the new count."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(IN_LISTS)
    COMPONENT_CLASSES = {"rows--cursor", "rows--dim-cursor"}
    DEFAULT_CSS = """
    RowList { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }
    RowList > .rows--cursor { background: $primary; color: $text; text-style: bold; }
    RowList > .rows--dim-cursor { background: $primary-muted; }
    """
    ALLOW_SELECT = False
    cursor: reactive[int] = reactive(0, repaint=False)

    class Moved(Message):
        """The cursor is on another row."""

        def __init__(self, rows: RowList, index: int) -> None:
            super().__init__()
            self.rows, self.index = rows, index

        @property
        def control(self) -> RowList:
            return self.rows

    class Chosen(Moved):
        """A row was clicked on twice."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.count = 0
        self._drawn: list[Text] = []  # the lines in view, as they were drawn last

    def row(self, index: int) -> Text:
        """The text of a row; every list has its own."""
        return Text(str(index))

    def changed(self, count: int) -> None:
        """The rows are new: draw the lines that differ, keep the cursor where it can be."""
        self.count = count
        if self.virtual_size.height != count:
            self.virtual_size = Size(self.size.width, count)
        self.cursor = min(self.cursor, max(0, count - 1))
        self._draw_changes()

    def redraw(self, index: int) -> None:
        """One row has new text."""
        y = index - round(self.scroll_y)
        if 0 <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        index = y + round(self.scroll_y)
        width = self.size.width
        if index >= self.count:
            return Strip.blank(width, self.own_style)
        text = self.row(index)
        if y < len(self._drawn):
            self._drawn[y] = text.copy()
        text.stylize_before(text.style)  # rich leaves the text's own style out without spans
        fit(text, width)
        strip = Strip(text.render(self.app.console), width)
        return strip.apply_style(self._row_style(index)).adjust_cell_length(width, self.own_style)

    def validate_cursor(self, cursor: int) -> int:
        return max(0, min(cursor, self.count - 1))

    def watch_cursor(self, old: int, new: int) -> None:
        if old != new:
            self.redraw(old)
            self.redraw(new)
            self._into_view()
            self.post_message(self.Moved(self, new))

    def action_cursor_up(self) -> None:
        self.cursor -= 1

    def action_cursor_down(self) -> None:
        self.cursor += 1

    def action_page_up(self) -> None:
        self.cursor -= max(1, self.size.height - 1)

    def action_page_down(self) -> None:
        self.cursor += max(1, self.size.height - 1)

    def action_first(self) -> None:
        self.cursor = 0

    def action_last(self) -> None:
        self.cursor = self.count - 1

    def on_click(self, event: events.Click) -> None:
        index = event.y + round(self.scroll_y)
        if index < self.count:
            self.cursor = index
            if event.chain == 2:
                self.post_message(self.Chosen(self, index))

    def on_focus(self) -> None:
        self.redraw(self.cursor)

    def on_blur(self) -> None:
        self.redraw(self.cursor)

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, self.count)
        self._into_view()

    def _row_style(self, index: int) -> Style:
        if index != self.cursor:
            return self.own_style
        part = "rows--cursor" if self.has_focus else "rows--dim-cursor"
        return self.get_component_rich_style(part)

    def _draw_changes(self) -> None:
        """Write only the lines whose text is another than on the screen."""
        top, height = round(self.scroll_y), self.size.height
        rows = range(top, min(self.count, top + height))
        lines = [self.row(index) for index in rows] + [Text()] * (height - len(rows))
        if len(self._drawn) != height:
            self._drawn = lines
            self.refresh()
            return
        for y, (before, after) in enumerate(zip(self._drawn, lines, strict=True)):
            if not same(before, after):
                self.refresh(Region(0, y, self.size.width, 1))
        self._drawn = lines

    def _into_view(self) -> None:
        """Scroll to the cursor: at once, or the next frame would still show where it was; and with
        `force`, as right after `changed` there is no scrollbar yet."""
        top = round(self.scroll_y)
        height = max(1, self.size.height)
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, force=True, immediate=True)
        elif self.cursor >= top + height:
            y = self.cursor - height + 1
            self.scroll_to(y=y, animate=False, force=True, immediate=True)


WHOLE = 24  # facts of at most so many characters, and of half a line, are not broken
GLUE = "\ue000"  # in the place of their spaces while a line is broken: no text has it


class TextLines(RowList):
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
