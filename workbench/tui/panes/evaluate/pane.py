"""A run's evaluation: the figures, the prompts behind them, one prompt with all its answers."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence, Set
from dataclasses import replace
from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from workbench.core.errors import UserError
from workbench.core.text import one_line, quantity
from workbench.reports.evaluation_report import NAME
from workbench.run.folder import RunFolder
from workbench.tui import terminal
from workbench.tui.actions import Action
from workbench.tui.panes.evaluate import case_text, metrics_table
from workbench.tui.panes.evaluate.case_list import CaseRows, FigureRows
from workbench.tui.panes.evaluate.filter_controls import FilterControls
from workbench.tui.panes.evaluate.model import (
    CaseFilter,
    Evaluation,
    LiveEvaluation,
    PromptCases,
    compare,
    failing,
    open_report,
    select,
)
from workbench.tui.runs.follower import EVALUATE, RunFollower
from workbench.tui.styled_text import styled, wrapped
from workbench.tui.widgets.bar import Bar
from workbench.tui.widgets.row_list import RowList, TextLines

WIDE = 120
VIEWS = ("figures", "cases", "case")
Signature = tuple[Path, int, int]


class EvaluatePane(FilterControls):
    """Figures, prompts and one prompt: side by side on a wide screen, else one after the other."""

    ID = "evaluate"
    HELP = (
        "How the run's models respond to the held-out prompts, and how well. Enter goes from a "
        "metric to its prompts and on to the responses side by side; Esc goes back. Intervals are "
        "95% bootstrap confidence intervals; McNemar's test separates gains from chance."
    )
    ACTIONS = (
        Action("evaluate.open", "enter", "Open", "Go from a metric to its prompts and responses."),
        Action("evaluate.next_failing", "n", "Next ✗", "Go to the next failing prompt."),
        Action("evaluate.verdicts", "f", "Filter", "Filter by verdict: failed, passed, changed."),
        Action("evaluate.category", "c", "Category", "Filter by category or guard."),
        Action("evaluate.find", "slash", "Search", "Search prompts and responses."),
        Action("evaluate.against", "v", "Compare", "Compare with another run's evaluation."),
        Action("evaluate.correct", "C,ctrl+o", "Correct", "Save a corrected response as a row."),
        Action("evaluate.resume", "r", "Resume", "Resume a run that is not evaluated yet."),
        Action("evaluate.back", "escape", "Back", "Go back to the metrics.", False),
        Action(
            "evaluate.last_failing", "N", "Previous ✗", "Go to the previous failing prompt.", False
        ),
        Action("evaluate.subject", "s", "Model", "Use the next model's verdicts.", False),
        Action("evaluate.measure", "m", "Metric", "Show the next metric by category.", False),
        Action("evaluate.order", "o", "Sort", "Change the order of categories or prompts.", False),
        Action(
            "evaluate.editor", "e", "Editor", "View the prompt and responses in $EDITOR.", False
        ),
    )
    DEFAULT_CSS = """
    EvaluatePane #split { height: 1fr; }
    EvaluatePane #left, EvaluatePane #right, EvaluatePane #list { width: 1fr; height: 1fr; }
    EvaluatePane #heads { color: $text-muted; }
    EvaluatePane #title { background: $surface; }
    EvaluatePane #case { padding: 0 1; }
    EvaluatePane.-wide #right { border-left: vkey $panel; }
    EvaluatePane.-wide #figures { height: auto; max-height: 50%; }
    EvaluatePane.-wide #list { border-top: solid $panel; }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.view = VIEWS[0]
        self.live: LiveEvaluation | None = None
        self._trouble = ""
        self._seen: Signature | None = None
        self._reading = False

    def compose(self) -> ComposeResult:
        yield Bar("head")
        with Horizontal(id="split"):
            with Vertical(id="left"):
                yield FigureRows("figures")
                with Vertical(id="list"):
                    yield Bar("heads")
                    yield CaseRows("cases")
            with Vertical(id="right"):
                yield Bar("title")
                yield TextLines("case")

    def on_mount(self) -> None:
        self._look()
        self.draw()

    def on_resize(self) -> None:
        self.call_after_refresh(self.draw)

    def focus_first(self) -> None:
        self.query_one(f"#{self.view if self.opened else 'case'}").focus(scroll_visible=False)

    def run_chosen(self) -> None:
        if self.is_mounted:
            self._look()

    def runs_changed(self, changed: Set[Path]) -> None:
        run = self.screen_app.current
        if run and run.path in changed:
            self._look()

    def on_descendant_focus(self) -> None:
        if self.opened and self.wide:  # else only one of them can be seen, and have the focus
            self.view = next((view for view in VIEWS if self._part(view).has_focus), self.view)
        self.refresh_bindings()

    def allows(self, name: str) -> bool:
        followed, opened = self._followed, self.opened
        if name == "resume":
            at_rest = followed is not None and not followed.at_work
            return at_rest and (opened is None or self.live is not None)
        if opened is None:
            return False
        match name:
            case "measure" | "against":
                return opened.report is not None
            case "subject":
                return len(opened.models) > 1
            case "correct" | "editor":
                return self.asked is not None
            case "open":
                return self.view != "case"
        return True

    def copied(self) -> tuple[str, str]:
        if self.opened is None:
            return "", ""
        if self.view == "figures":
            lines = [line.text.plain.rstrip() for line in self.query_one(FigureRows).lines]
            return "\n".join(lines), "the metrics"
        asked = self.asked
        if asked is None:
            return "", ""
        return case_text.markdown(asked, self.opened.models), "the prompt and responses"

    @property
    def wide(self) -> bool:
        """Whether figures, prompts and answers stand side by side."""
        return self.size.width >= WIDE

    @property
    def _width(self) -> int:
        """Of a part, known before it is laid out."""
        return self.size.width // 2 if self.wide else self.size.width

    @property
    def asked(self) -> PromptCases | None:
        """The asking under the cursor."""
        return self.query_one(CaseRows).chosen

    # What there is

    def _look(self) -> None:
        """Take what the log or the report has new."""
        followed = self._followed
        if followed is None or (self.opened and self.opened.run != followed.run):
            self._forget()
        if followed is None or followed.behind:
            self.draw()
        elif followed.answered:
            self._take_live(followed)
        else:
            self._read(followed.run)

    def _forget(self) -> None:
        self.opened = self.live = self.other = self._seen = None
        self._trouble = ""

    def _take_live(self, followed: RunFollower) -> None:
        if self.live is None or self.live.taken > len(followed.answered):
            self.live, self.other = LiveEvaluation(followed.run), None
            self._seen = None
        if self.live.taken < len(followed.answered):
            self.live.take(followed.answered)
            self._open(self.live.opened)

    def _read(self, run: RunFolder) -> None:
        """Read the report in a thread, if it is another than the one that is shown."""
        signature = _signature(run)
        if signature is None and self.live is None:
            self._forget()
            self.draw()
        if signature is None or signature == self._seen or self._reading:
            return
        self._seen, self._reading = signature, True

        def work() -> Evaluation | str:
            try:
                return open_report(run)
            except UserError as error:
                return str(error)

        def then(found: Evaluation | str) -> None:
            self._reading = False
            if self.screen_app.current == run and self._seen == signature:
                self._take(found)
            self._look()

        self.screen_app.in_background(work, then)

    def _take(self, found: Evaluation | str) -> None:
        self.live = None
        if isinstance(found, str):
            self.opened, self._trouble = None, found
        else:
            self._trouble = ""
            self.other = compare(found, self.other.opened) if self.other else None
            names = metrics_table.measures(found.report) if found.report else []
            self.measure = self.measure if self.measure in names else next(iter(names), "")
            self._open(found)
            return
        self.draw()

    def _open(self, opened: Evaluation) -> None:
        """Show it; until then the focus was on the only text there."""
        was_empty, self.opened = self.opened is None, opened
        self.draw()
        if was_empty and self.screen_app.pane_id == self.ID:
            self.focus_first()

    # Drawing

    def draw(self) -> None:
        """Everything anew; what has not changed is not written."""
        if not self.is_mounted:
            return
        opened = self.opened
        self._arrange()
        self.query_one("#head", Bar).show(self._head())
        if opened is None:
            width = max(20, self.size.width - 4)
            told = [line for one in self._why_empty() for line in wrapped(one, width, "")]
            self.query_one("#case", TextLines).tell(told)
        else:
            self._draw_lists(opened)
            self._draw_case()
        self.refresh_bindings()

    def _arrange(self) -> None:
        """What is seen: set on the widgets themselves, so that the focus can go there at once."""
        empty = self.opened is None
        self.set_class(self.wide and not empty, "-wide")
        self.query_one("#figures").display = self.wide or self.view == "figures"
        self.query_one("#list").display = self.wide or self.view == "cases"
        self.query_one("#left").display = not empty and (self.wide or self.view != "case")
        self.query_one("#right").display = empty or self.wide or self.view == "case"
        self.query_one("#title").display = not empty

    def _draw_lists(self, opened: Evaluation) -> None:
        figures, cases = self.query_one(FigureRows), self.query_one(CaseRows)
        width = self._width - 1  # for the scrollbar
        figures.show(
            metrics_table.live_lines(self.live, width)
            if self.live
            else metrics_table.lines(opened, self.measure, self.order, self.other, width)
        )
        cases.show(opened, select(opened, self.other, self.wanted), self.other)
        self.query_one("#heads", Bar).show(styled(cases.heads()))

    def _draw_case(self) -> None:
        opened, asked, text = self.opened, self.asked, self.query_one("#case", TextLines)
        if opened is None:
            return
        if asked is None:
            self.query_one("#title", Bar).show(Text(""))
            text.tell([styled("No prompts match. Press Esc to show all.", "dim")])
            return
        cases = self.query_one(CaseRows)
        place = (cases.cursor, len(cases.asked))
        bar = case_text.title(asked, opened.subject, self.other, *place)
        self.query_one("#title", Bar).show(bar)
        width = max(20, self._width - 4)  # for border, padding and scrollbar
        text.tell(case_text.lines(asked, opened.models, self.other, width))

    def _head(self) -> Text:
        opened, followed = self.opened, self._followed
        if opened is None:
            return styled(f" {one_line(followed.run.name, 40)}" if followed else " no run", "bold")
        text = styled(f" {one_line(opened.run.name, 30)}", "bold")
        if opened.report:
            text.append(f"  {one_line(opened.report.date)}", "not bold dim")
        elif followed:
            text.append("  in progress" if followed.at_work else "  incomplete", "not bold")
        shown, count = len(self.query_one(CaseRows).asked), len(opened.asked)
        told = self.wanted.told()
        if told:
            text.append(
                f"  {shown:,} of {quantity(count, 'prompt')}: {one_line(told, 60)}",
                "not bold yellow",
            )
        else:
            text.append(f"  {quantity(count, 'prompt')}", "not bold")
        return text.append(f"  verdicts: {one_line(opened.subject, 30)}", "not bold dim")

    def _why_empty(self) -> Sequence[str]:
        followed = self._followed
        if followed is None:
            return ["No run selected. Press 1 for the list of runs; n there starts one."]
        if self._trouble:
            return [f"✗ {self._trouble}"]
        if self._reading or followed.behind:
            return ["reading ..."]
        name = followed.run.name
        if followed.at_work and EVALUATE not in followed.state.planned:
            return ["The run was started without its evaluate stage."]
        if followed.at_work:
            return ["Evaluation starts after the export. Press 4 to see the training progress."]
        return [
            "This run has not been evaluated yet.",
            "",
            f"r  Resume it: workbench resume {name}",
        ]

    # Actions

    def want(self, wanted: CaseFilter) -> None:
        """The prompt under the cursor stays there, if it is among those wanted."""
        cases, before = self.query_one(CaseRows), self.asked
        self.wanted = wanted
        if self.opened:
            shown = select(self.opened, self.other, wanted)
            cases.show(self.opened, shown, self.other)
            cases.cursor = shown.index(before) if before in shown else 0
        if self.view == "figures" and not self.wide:
            self._show("cases")
        self.draw()

    def on_row_list_moved(self, message: RowList.Moved) -> None:
        if message.rows.id == "cases":
            self._draw_case()
            self.query_one("#case", TextLines).cursor = 0
            self.refresh_bindings()

    def on_row_list_chosen(self, message: RowList.Chosen) -> None:
        if message.rows.id in ("figures", "cases"):
            self.action_open()

    def action_open(self) -> None:
        if self.view == "figures":
            line = self.query_one(FigureRows).chosen
            if line and line.group is not None:
                self.measure = line.measure or self.measure
                self.want(replace(self.wanted, group=line.group))
            self._show("cases")
        else:
            self._show("case")

    def action_back(self) -> None:
        if self.view == "case":
            self._show("cases")
        elif not self.wanted.everything:
            self.want(CaseFilter(order=self.wanted.order))
        else:
            self._show("figures")

    def action_next_failing(self) -> None:
        self._go_failing(1)

    def action_last_failing(self) -> None:
        self._go_failing(-1)

    def action_correct(self) -> None:
        from workbench.dataset.rows import USER, Message
        from workbench.tui.dialogs.correction import correct

        asked, opened = self.asked, self.opened
        assert asked is not None and opened is not None, "allows() let it through"
        first = asked.first
        said = [Message(role, text) for role, text in first.earlier]
        mine = asked.cases.get(opened.subject, first)
        answer = first.expected or mine.answer
        before = [*said, Message(USER, first.prompt)]
        name = f"{opened.run.name} {opened.subject}"
        correct(self.screen_app, before, answer, rejected=mine.answer, said_by=name)

    def action_editor(self) -> None:
        """A copy that cannot be written: what is changed there would change nothing."""
        asked, opened = self.asked, self.opened
        assert asked is not None and opened is not None, "allows() let it through"
        with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
            path = Path(folder) / "prompt.md"
            path.write_text(case_text.markdown(asked, opened.models), "utf-8")
            path.chmod(0o444)
            terminal.edit(self.app, path)

    def action_resume(self) -> None:
        assert self._followed is not None, "allows() let it through without a run"
        self.screen_app.steer.resume(self._followed.run)

    # Inside

    @property
    def _followed(self) -> RunFollower | None:
        run = self.screen_app.current
        return self.screen_app.followed(run) if run else None

    def _part(self, view: str) -> RowList:
        return self.query_one(f"#{view}", RowList)

    def _show(self, view: str) -> None:
        self.view = view
        self.draw()
        self._part(view).focus()

    def _go_failing(self, step: int) -> None:
        cases, opened = self.query_one(CaseRows), self.opened
        assert opened is not None, "allows() let it through"
        first = cases.cursor + (step if self.view != "figures" else 0)
        rows = range(first, len(cases.asked) if step > 0 else -1, step)
        found = next((row for row in rows if failing(opened, cases.asked[row])), None)
        if found is None:
            where = "below" if step > 0 else "above"
            self.say(f"no failing prompt {where} for {opened.subject}")
            return
        cases.cursor = found
        if self.view == "figures" and not self.wide:
            self._show("case")


def _signature(run: RunFolder) -> Signature | None:
    """What tells one report from the next; None where there is none."""
    path = run.evaluation / NAME
    try:
        status = os.stat(path)
    except OSError:
        return None
    return path, status.st_mtime_ns, status.st_size
