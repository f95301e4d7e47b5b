"""The rows of a data set, one a line, and the findings about it: any number of either."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import set_cell_size
from rich.text import Text

from workbench.core.text import one_line
from workbench.tui.widgets.row_list import RowList

if TYPE_CHECKING:
    from workbench.dataset.browse.records import Entry
    from workbench.dataset.rows import Fault, Row
    from workbench.tui.panes.data.row_filter import FilteredRows

SCANNED_CHARS = 400
CATEGORY, TURNS, PLACE = 11, 3, 20


class DataRows(RowList):
    """`line  category  turns  prompt → answer`, or `line  category  chars  text` of documents."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.selection: FilteredRows | None = None
        self.several_files = False
        self.documents = False

    def show(self, selection: FilteredRows) -> None:
        """Draw what is selected now."""
        self.selection = selection
        self.several_files = len(selection.reading.formats) > 1
        first = self._entry(0) if len(selection) else None
        self.documents = getattr(first, "kind", "chat") == "text"
        self.changed(len(selection))

    @property
    def chosen(self) -> Entry | None:
        """The row under the cursor, or the fault in its place; None where it is not read yet."""
        return self._entry(self.cursor)

    @property
    def chosen_number(self) -> int | None:
        """Its number among all rows, from 0."""
        selection = self.selection
        if selection is None or self.cursor >= len(selection):
            return None
        return selection[self.cursor]

    def row(self, index: int) -> Text:
        from workbench.dataset.rows import Row
        from workbench.tui.panes.data.scan_results import SIGN_STYLES

        assert self.selection is not None, "rows are drawn after show()"
        entry = self._entry(index)
        if entry is None:
            return Text("  ...", "dim", no_wrap=True)
        sign = self.selection.reading.found.signs.get(entry.place, " ")
        if not isinstance(entry, Row):
            sign = "✗" if entry.fatal else "·"
        text = Text(no_wrap=True).append(f"{sign} ", SIGN_STYLES.get(sign, ""))
        text.append(f"{self._place(entry)} ", "dim")
        if isinstance(entry, Row):
            self._said(entry, text)
        else:
            text.append(one_line(entry.message, 400), "red" if entry.fatal else "dim")
        return Text(text.plain) if index == self.cursor and self.has_focus else text

    def heads(self) -> str:
        """The titles of the columns at this width."""
        place = "file:line".ljust(PLACE) if self.several_files else "   line"
        category = "category".ljust(CATEGORY) if self._has_categories else ""
        if self.documents:
            return f"  {place} {category}  chars text"
        width = self._prompt_width()
        return f"  {place} {category}{'turns':>{TURNS + 2}} {'prompt':{width}} → response"

    def _entry(self, index: int) -> Entry | None:
        selection = self.selection
        number = selection[index] if selection is not None and index < len(selection) else None
        if selection is None or number is None:
            return None
        return selection.reading.entry(number, in_order=selection.wanted.everything)

    def _said(self, row: Row, text: Text) -> None:
        if self._has_categories:
            text.append(one_line(row.category, CATEGORY - 1).ljust(CATEGORY), "cyan")
        if self.documents:
            text.append(f"{len(row.text):>7,} ", "dim")
            text.append(one_line(row.text[:SCANNED_CHARS], 200))
            return
        width = self._prompt_width()
        asked = row.prompt_messages()
        prompt = one_line(asked[-1].said[:SCANNED_CHARS] if asked else "", width)
        text.append(f"{len(row.messages):>{TURNS + 2}} ", "dim")
        text.append(set_cell_size(prompt, width)).append(" → ", "dim")
        said = row.expected or row.text
        text.append(one_line(said[:SCANNED_CHARS], 200), "green")

    @property
    def _has_categories(self) -> bool:
        return self.selection is not None and len(self.selection.reading.found.categories) > 1

    def _prompt_width(self) -> int:
        place = PLACE if self.several_files else 7
        category = CATEGORY if self._has_categories else 0
        return max(10, (self.size.width - place - category - TURNS - 9) // 2)

    def _place(self, entry: Entry) -> str:
        if not self.several_files:
            return f"{entry.place.line:>7}"
        name = entry.place.path.rpartition("/")[2]
        line = f":{entry.place.line}"
        return (one_line(name, PLACE - len(line)) + line).ljust(PLACE)


class Findings(RowList):
    """Faults, warnings and notes, each with its place."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.findings: Sequence[Fault] = ()
        self.left_out = 0

    def show(self, findings: Sequence[Fault], left_out: int) -> None:
        """Draw these, and how many more there are than these."""
        self.findings, self.left_out = findings, left_out
        self.changed(len(findings) + bool(left_out))

    @property
    def chosen(self) -> Fault | None:
        """The finding under the cursor."""
        return self.findings[self.cursor] if self.cursor < len(self.findings) else None

    def row(self, index: int) -> Text:
        from workbench.tui.panes.data.row_text import finding_line

        if index >= len(self.findings):
            more = f"and {self.left_out:,} more; run `workbench data` to see them"
            return Text(more, "dim", no_wrap=True)
        line = finding_line(self.findings[index])
        return Text(line.plain) if index == self.cursor and self.has_focus else line
