"""One row of a data set as the model will see it, or the figures of all of them.

Tokens come from a helper process: until they are there, the row stands as it is in the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from workbench.core.text import one_line, size
from workbench.tui.styled_text import styled, wrapped
from workbench.tui.widgets.bar import Bar
from workbench.tui.widgets.row_list import TextLines

if TYPE_CHECKING:
    from workbench.dataset.browse.records import Entry
    from workbench.dataset.rows import Fault, Row
    from workbench.tokenization.preview import RowPreview
    from workbench.tui.panes.data.model import DataModel
    from workbench.tui.panes.data.preview_client import LengthCounts, TokenPreviews


class RowView(Vertical):
    """`read` a data set, then `show_row` or `show_figures`, as often as you like."""

    DEFAULT_CSS = """
    RowView #title { background: $surface; }
    RowView TextLines { height: 1fr; padding: 0 1; }
    """

    class News(Message):
        """A helper process has answered."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.bounds = False
        self._reading: DataModel | None = None
        self._preset = ""
        self._looking: TokenPreviews | None = None
        self._counting: LengthCounts | None = None
        self._generation = 0
        self._entry: Entry | None = None
        self._left_out = 0
        self._drawn: Entry | None = None
        self._figures_wanted = False

    def compose(self) -> ComposeResult:
        yield Bar("title")
        yield TextLines("text")

    def on_unmount(self) -> None:
        self._stop()

    def read(self, reading: DataModel, preset: str) -> None:
        """Another data set, with the tokenizer of that preset's base; the same one goes on."""
        self._stop(keep_tokenizer=preset == self._preset)
        self._reading, self._preset = reading, preset
        self.forget()

    def forget(self) -> None:
        """Draw anew, whatever comes."""
        self._drawn = None

    def show_row(self, entry: Entry | None, left_out: int = 0) -> None:
        """Show the row or the fault in its place; `left_out` bytes of it were not read."""
        from workbench.dataset.rows import Row
        from workbench.tui.panes.data.preview_client import TokenPreviews

        self._entry, self._left_out, self._figures_wanted = entry, left_out, False
        if entry is None:
            self._draw_nothing()
        elif not isinstance(entry, Row):
            self.show_finding(entry)
        else:
            self._looking = self._looking or TokenPreviews(self._preset, self._news)
            shown = self._looking.look(entry)
            if shown is not None:
                self._draw(entry, shown)
            elif not self._looking.ready or self._drawn is None:
                self._draw(entry, "")

    def show_finding(self, finding: Fault) -> None:
        """Show the whole of a finding where there is no row."""
        self._entry, self._figures_wanted = finding, False
        hint = f" ({finding.hint})" if finding.hint else ""
        lines = wrapped(one_line(f"{finding.message}{hint}", 800), self._width, "")
        name = one_line(finding.place.path.rpartition("/")[2], 80)
        title = f"{name}:{finding.place.line}  press e to open it in $EDITOR"
        self.tell(title, [*lines, Text(""), *wrapped(_meaning(finding), self._width, "dim")])

    def show_figures(self) -> None:
        """Show counts by category and the histogram of lengths."""
        from workbench.tui.panes.data.preview_client import LengthCounts
        from workbench.tui.panes.data.summary_text import figure_lines

        reading = self._reading
        self._figures_wanted, self._drawn = True, None
        if reading is None:
            return
        if self._counting is not None and self._generation != reading.generation:
            self._counting.stop()
            self._counting = None
        if self._counting is None and reading.indexed and len(reading):
            self._generation = reading.generation
            self._counting = LengthCounts(reading, self._preset, self._news)
        lines = figure_lines(reading, self._counting, self._width)
        self.tell(f"Stats for preset {one_line(self._preset, 60)}", lines)

    def tell(self, title: str, lines: list[Text]) -> None:
        """Show these lines."""
        self.query_one("#title", Bar).show(styled(f" {title}", "bold"))
        self.query_one(TextLines).tell(lines)

    def on_resize(self) -> None:
        """The lines are laid out for a width."""
        self.on_row_view_news()

    def on_row_view_news(self) -> None:
        if self._figures_wanted:
            self.show_figures()
        elif self._entry is not None:
            self.show_row(self._entry, self._left_out)

    @property
    def _width(self) -> int:
        return max(20, self.query_one(TextLines).size.width - 3)

    def _news(self) -> None:
        self.post_message(self.News())

    def _stop(self, keep_tokenizer: bool = False) -> None:
        if self._counting:
            self._counting.stop()
            self._counting = None
        if self._looking and not keep_tokenizer:
            self._looking.stop()
            self._looking = None

    def _draw_nothing(self) -> None:
        known = self._reading is not None and self._reading.indexed
        self.tell("", [styled("No rows match." if known else "", "dim")])

    def _draw(self, row: Row, shown: RowPreview | str) -> None:
        from workbench.tui.panes.data import row_text

        self._drawn = row
        text, title = self.query_one(TextLines), Text(" ")
        notes = [f"the last {size(self._left_out)} are not shown"] if self._left_out else []
        if isinstance(shown, str):
            title.append(one_line(str(row.place), 200))
            text.tell(row_text.plain_lines(row, self._width, [*notes, shown]))
        else:
            title.append(f"{one_line(row.place.path.rpartition('/')[2], 80)}", "bold")
            title.append(f":{row.place.line}  {shown.tokens:,} of {shown.limit:,} tokens, ")
            title.append(f"{shown.trained:,} trained", row_text.TRAINED)
            title.append(f"  for preset {one_line(self._preset, 60)}", "dim")
            text.tell(row_text.token_lines(row, shown, self._width, self.bounds, notes))
        self.query_one("#title", Bar).show(title)


def _meaning(finding: Fault) -> str:
    """What findings of this code are about."""
    from workbench.dataset.checks.findings import CODES, severity

    about = CODES[finding.code].meaning if finding.code in CODES else ""
    return f"{severity(finding)}, {finding.code}: {about}"
