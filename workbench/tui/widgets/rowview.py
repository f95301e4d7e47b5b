"""One row of a data set as the model will see it, or the figures of all of them.

Tokens are found in a thread: the row that is wanted last wins, and the ones between are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical

from workbench.errors import UserError
from workbench.text import one_line
from workbench.tui.styled import styled
from workbench.tui.widgets.bar import Bar
from workbench.tui.widgets.textlines import TextLines

if TYPE_CHECKING:
    from workbench.dataset.rows import Fault, Row
    from workbench.lens.lens import Lens, Shown
    from workbench.tui.app import WorkbenchApp
    from workbench.tui.dataview.reading import DataReading

SAMPLE = 2000


class RowView(Vertical):
    """`read` a data set, then `show_row` or `show_figures`, as often as you like."""

    DEFAULT_CSS = """
    RowView #title { background: $surface; }
    RowView TextLines { height: 1fr; padding: 0 1; }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.bounds = False
        self.lens: Lens | None = None
        self.no_lens = ""
        self._reading: DataReading | None = None
        self._row: Row | None = None
        self._shown_row: Row | None = None
        self._shown: Shown | str = ""
        self._figures_wanted = False
        self._busy = False
        self._lengths: list[int] = []
        self._told = ""

    def compose(self) -> ComposeResult:
        yield Bar("title")
        yield TextLines("text")

    def read(self, reading: DataReading, preset: str) -> None:
        """Another data set: load the tokenizer of the preset's base, forget what was counted."""
        self._reading, self._lengths, self._told = reading, [], ""
        self.forget()

        def work() -> Lens | str:
            from workbench.lens.loading import lens_of

            try:
                return lens_of(preset)
            except UserError as error:
                return str(error)

        def then(found: Lens | str) -> None:
            self.lens, self.no_lens = (None, found) if isinstance(found, str) else (found, "")
            self.forget()
            self.show_figures() if self._figures_wanted else self.show_row(self._row)

        self._app.in_background(work, then)

    def forget(self) -> None:
        """Find the tokens again, even of the same row."""
        self._shown_row = None

    def show_row(self, row: Row | None) -> None:
        """Show the row, at once where its tokens are known."""
        self._row, self._figures_wanted = row, False
        if row is None or self.lens is None:
            self._shown = self.no_lens
            self._draw(row)
        elif row is self._shown_row:
            self._draw(row)
        elif not self._busy:
            self._find_tokens(self.lens, row)

    def show_finding(self, finding: Fault) -> None:
        """Show the whole of a finding where there is no row."""
        from workbench.tui.dataview.painting import wrapped

        self._row, self._figures_wanted = None, False
        width = max(20, self.query_one(TextLines).size.width - 3)
        self.tell("e opens it in your editor", wrapped(str(finding), width))

    def show_figures(self) -> None:
        """Show counts by category and the histogram of lengths."""
        from workbench.tui.dataview import painting

        reading, lens = self._reading, self.lens
        self._figures_wanted = True
        if reading is None:
            return
        limit = lens.limits[reading.rows[0].kind].tokens if lens and reading.rows else 0
        told = self._told or self.no_lens or "counting ..."
        self.tell("Figures", painting.figure_lines(reading, self._lengths, limit, told))
        if lens and reading.read and not self._told:
            self._count(lens, reading)

    def tell(self, title: str, lines: list[Text]) -> None:
        """Show these lines."""
        self.query_one("#title", Bar).show(styled(f" {title}", "bold"))
        self.query_one(TextLines).tell(lines)

    @property
    def _app(self) -> WorkbenchApp:
        return cast("WorkbenchApp", self.app)

    def _find_tokens(self, lens: Lens, row: Row) -> None:
        self._busy = True

        def work() -> Shown | str:
            try:
                return lens.look(row)
            except UserError as error:
                return f"this row cannot be trained on: {error}"

        def then(found: Shown | str) -> None:
            self._busy, self._shown, self._shown_row = False, found, row
            if not self._figures_wanted:
                self.show_row(self._row)

        self._app.in_background(work, then)

    def _draw(self, row: Row | None) -> None:
        from workbench.tui.dataview import painting

        text, title = self.query_one(TextLines), Text(" ")
        width = max(20, text.size.width - 3)
        if row is None:
            empty = self._reading is not None and self._reading.read
            text.tell([styled("No row is here." if empty else "", "dim")])
        elif isinstance(self._shown, str):
            title.append(one_line(str(row.place), 200))
            text.tell(painting.plain_lines(row, width, self._shown))
        else:
            shown = self._shown
            title.append(f"{row.place.path.rpartition('/')[2]}:{row.place.line}", "bold")
            title.append(f"  {shown.tokens:,} of {shown.limit:,} tokens, ")
            title.append(f"{shown.trained:,} learnt", painting.TRAINED)
            title.append(f"  as {self.lens.preset} sees it" if self.lens else "", "dim")
            text.tell(painting.token_lines(shown, width, self.bounds))
        self.query_one("#title", Bar).show(title)

    def _count(self, lens: Lens, reading: DataReading) -> None:
        """Count the tokens of all rows, or of some that lie evenly spaced, in a thread."""
        every = max(1, -(-len(reading.rows) // SAMPLE))
        rows = reading.rows[::every]
        sampled = f"from {len(rows):,} of {len(reading.rows):,} rows, evenly spaced"
        told = sampled if every > 1 else "all rows"
        self._told = "counting ..."

        def then(lengths: list[int]) -> None:
            if self._reading is not reading:
                return
            refused = lengths.count(0)
            self._lengths = [length for length in lengths if length]
            self._told = f"{told}; {refused:,} cannot be trained on" if refused else told
            if self._figures_wanted:
                self.show_figures()

        self._app.in_background(lambda: [lens.count(row) for row in rows], then)
