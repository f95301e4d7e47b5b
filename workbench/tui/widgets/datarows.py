"""The rows of a data set, one a line, and the findings about it: any number of either."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from workbench.text import one_line
from workbench.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from workbench.dataset.rows import Fault, Row
    from workbench.tui.dataview.selection import Selection

MARKS = {"✗": "bold red", "!": "yellow", "=": "cyan"}
SCANNED_CHARS = 400
CATEGORY = "category".ljust(11)


class DataRows(Rows):
    """`line  category  prompt → answer`, or the beginning of a text."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.selection: Selection | None = None
        self.several_files = False

    def show(self, selection: Selection) -> None:
        """Draw what is selected now."""
        self.selection = selection
        self.several_files = len(selection.reading.formats) > 1
        self.changed(len(selection))

    @property
    def chosen(self) -> Row | None:
        """The row under the cursor."""
        selection = self.selection
        if selection is None or self.cursor >= len(selection):
            return None
        return selection.reading.rows[selection[self.cursor]]

    def row(self, index: int) -> Text:
        assert self.selection is not None, "rows are drawn after show()"
        reading = self.selection.reading
        row = reading.rows[self.selection[index]]
        mark = reading.marks.get(row.place, " ")
        text = Text(no_wrap=True).append(f"{mark} ", MARKS.get(mark, ""))
        text.append(f"{self._place(row)} ", "dim")
        if self._has_categories:
            text.append(f"{one_line(row.category, 10):10} ", "cyan")
        text = self._said(row, text)
        return Text(text.plain) if index == self.cursor and self.has_focus else text

    def heads(self) -> str:
        """The titles of the columns at this width."""
        reading = None if self.selection is None else self.selection.reading
        category = CATEGORY if self._has_categories else ""
        place = "file:line".ljust(20) if self.several_files else "   line"
        text = reading is not None and bool(reading.rows) and reading.rows[0].kind == "text"
        said = "  chars text" if text else f"{'prompt':{self._prompt_width()}} → answer"
        return f"  {place} {category}{said}"

    def _said(self, row: Row, text: Text) -> Text:
        if row.kind == "text":
            text.append(f"{len(row.text):>7,} ", "dim")
            return text.append(one_line(row.text[:SCANNED_CHARS], 200))
        width = self._prompt_width()
        asked = row.prompt_messages()
        prompt = one_line(asked[-1].content[:SCANNED_CHARS] if asked else "", width)
        turns = f"(+{len(asked) - 1}) " if len(asked) > 1 else ""
        text.append(f"{one_line(turns + prompt, width):{width}}").append(" → ", "dim")
        return text.append(one_line(row.expected[:SCANNED_CHARS], 200), "green")

    @property
    def _has_categories(self) -> bool:
        return self.selection is not None and len(self.selection.reading.categories) > 1

    def _prompt_width(self) -> int:
        place = 20 if self.several_files else 7
        category = len(CATEGORY) if self._has_categories else 0
        return max(10, (self.size.width - place - category - 6) // 2)

    def _place(self, row: Row) -> str:
        if not self.several_files:
            return f"{row.place.line:>7}"
        name = row.place.path.rpartition("/")[2]
        line = f":{row.place.line}"
        return (one_line(name, 20 - len(line)) + line).ljust(20)


class Findings(Rows):
    """Faults, notes and duplicates, each with its place."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.findings: Sequence[Fault] = ()

    def show(self, findings: Sequence[Fault]) -> None:
        """Draw these; nothing when they are as many as before."""
        if len(findings) != len(self.findings) or not findings:
            self.findings = findings
            self.changed(len(findings))

    @property
    def chosen(self) -> Fault | None:
        """The finding under the cursor."""
        return self.findings[self.cursor] if self.findings else None

    def row(self, index: int) -> Text:
        from workbench.tui.dataview.painting import finding_line

        line = finding_line(self.findings[index])
        return Text(line.plain) if index == self.cursor and self.has_focus else line
