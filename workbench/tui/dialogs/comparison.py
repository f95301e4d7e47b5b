"""Several runs in one table; it is read in a thread, as an evaluation may be large."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Static

from workbench.run.folder import RunFolder
from workbench.tui.dialogs.dialog import Dialog
from workbench.tui.styled_text import styled, wrapped
from workbench.tui.widgets.row_list import TextLines

if TYPE_CHECKING:
    from workbench.reports.run_comparison import Comparison
    from workbench.tui.host import Host


class Compare(Dialog[None]):
    """`push_screen(Compare([run, other]))`; the first run is told against the others."""

    BINDINGS: ClassVar[list[BindingType]] = [("y", "copy", "Copy"), ("q", "leave", "Close")]
    DEFAULT_CSS = """
    Compare > Vertical { width: 160; height: 90%; }
    Compare TextLines { height: 1fr; }
    """

    def __init__(self, runs: Sequence[RunFolder]) -> None:
        super().__init__()
        self._runs = list(runs)
        self.found: Comparison | None = None

    def compose(self) -> ComposeResult:
        with Vertical():
            yield TextLines("table")
            yield Static("y copy   Esc close", markup=False, classes="hint")

    def on_mount(self) -> None:
        self.query_one(TextLines).tell([styled("reading ...", "dim")])

        def work() -> Comparison:
            from workbench.reports.run_comparison import compare

            return compare(self._runs)

        def then(found: Comparison) -> None:
            self.found = found
            self._draw()

        cast("Host", self.app).in_background(work, then)

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    def action_copy(self) -> None:
        if self.found:
            from workbench.reports.comparison_text import lines

            cast("Host", self.app).copy("\n".join(lines(self.found)), "the table")

    def _draw(self) -> None:
        from workbench.reports.comparison_text import INDENT, lines

        view = self.query_one(TextLines)
        if self.found and view.size.width:
            width = view.size.width - 2
            view.tell(
                [
                    part
                    for line in lines(self.found, width)
                    for part in wrapped(line, width, "" if line.startswith(INDENT) else "bold")
                ]
            )
