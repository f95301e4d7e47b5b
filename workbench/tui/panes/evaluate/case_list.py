"""The two lists of an evaluation: its figures, and the prompts that were asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from workbench.core.text import one_line
from workbench.tui.widgets.row_list import RowList

if TYPE_CHECKING:
    from workbench.tui.panes.evaluate.metrics_table import Line
    from workbench.tui.panes.evaluate.model import Evaluation, OtherEvaluation, PromptCases

GROUP_WIDTH = 14


class FigureRows(RowList):
    """The lines of the table of figures."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.lines: Sequence[Line] = ()

    def show(self, lines: Sequence[Line]) -> None:
        """Draw these lines."""
        grown = len(lines) != len(self.lines)
        self.lines = lines
        self.changed(len(lines))
        if grown:
            self.refresh(layout=True)

    @property
    def chosen(self) -> Line | None:
        """The line under the cursor."""
        return self.lines[self.cursor] if self.lines else None

    def row(self, index: int) -> Text:
        return self.lines[index].text.copy()


class CaseRows(RowList):
    """`✗✓✓ + seen  the prompt`: a mark a model, what has changed, the category."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.asked: Sequence[PromptCases] = ()
        self._opened: Evaluation | None = None
        self._other: OtherEvaluation | None = None

    def show(
        self, opened: Evaluation, asked: Sequence[PromptCases], other: OtherEvaluation | None
    ) -> None:
        """Draw these askings."""
        self._opened, self.asked, self._other = opened, asked, other
        self.changed(len(asked))

    @property
    def chosen(self) -> PromptCases | None:
        """The asking under the cursor."""
        return self.asked[self.cursor] if self.cursor < len(self.asked) else None

    def heads(self) -> str:
        """The titles of the columns."""
        models = ", ".join(self._opened.models) if self._opened else ""
        return f" verdicts: {one_line(models, 200)}"

    def row(self, index: int) -> Text:
        from workbench.tui.panes.evaluate.case_text import CHANGES, MARKS, STYLES
        from workbench.tui.panes.evaluate.model import change

        asked, opened = self.asked[index], self._opened
        assert opened is not None, "rows are drawn after show()"
        text = Text(" ", no_wrap=True)
        for model in opened.models:
            verdict = asked.verdict(model)
            text.append(MARKS[verdict], STYLES.get(verdict or "", "dim"))
        if self._other:
            mark, style = CHANGES.get(change(opened.subject, self._other, asked), (" ", ""))
            text.append(f" {mark}", style)
        if len(opened.groups) > 1:
            text.append(f" {one_line(asked.group, GROUP_WIDTH):{GROUP_WIDTH}}", "cyan")
        return text.append(f" {one_line(asked.first.prompt, 200)}")
