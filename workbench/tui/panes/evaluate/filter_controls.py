"""What a person chooses about an evaluation: the model, the filters, the run to compare with."""

from __future__ import annotations

from dataclasses import replace

from workbench.core.text import quantity
from workbench.reports.evaluation_report import NAME
from workbench.tui.pane import Pane
from workbench.tui.panes.evaluate import metrics_table
from workbench.tui.panes.evaluate.model import (
    NEEDS_OTHER,
    ORDERS,
    SHOWS,
    CaseFilter,
    Evaluation,
    OtherEvaluation,
    compare,
    open_report,
)

NOBODY = "no other run"


class FilterControls(Pane):
    """Holds what is chosen; the pane that shows the evaluation draws it anew."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.opened: Evaluation | None = None
        self.other: OtherEvaluation | None = None
        self.wanted = CaseFilter()
        self.measure = ""
        self.order = metrics_table.ORDERS[0]

    def want(self, wanted: CaseFilter) -> None:
        """Show what is wanted now."""
        raise NotImplementedError

    def draw(self) -> None:
        """Everything anew."""
        raise NotImplementedError

    def action_verdicts(self) -> None:
        from workbench.tui.dialogs.picker import Picker

        choices = [
            (name, about) for name, about in SHOWS.items() if self.other or name not in NEEDS_OTHER
        ]

        def then(name: str | None) -> None:
            if name:
                self.want(replace(self.wanted, show=name))

        self.app.push_screen(Picker(f"Show which prompts? ({self._subject})", choices), then)

    def action_category(self) -> None:
        from workbench.tui.dialogs.picker import Picker

        assert self.opened is not None, "allows() let it through"
        groups = self.opened.groups
        choices = [("all", quantity(sum(groups.values()), "prompt"))]
        choices += [(name, quantity(count, "prompt")) for name, count in groups.items()]

        def then(name: str | None) -> None:
            if name:
                self.want(replace(self.wanted, group="" if name == "all" else name))

        self.app.push_screen(Picker("Show which category?", choices), then)

    def action_find(self) -> None:
        from workbench.tui.dialogs.dialog import Entry

        def then(typed: str | None) -> None:
            if typed is not None:
                self.want(replace(self.wanted, text=typed.strip()))

        question = "Search prompts and responses (empty: all)"
        self.app.push_screen(Entry(question, self.wanted.text), then)

    def action_against(self) -> None:
        from workbench.tui.dialogs.picker import Picker

        assert self.opened is not None, "allows() let it through"
        app, here = self.screen_app, self.opened.run
        runs = {
            run.name: run
            for run in app.watching.runs
            if run != here and (run.evaluation / NAME).is_file()
        }
        if not runs:
            self.say("no other run has been evaluated", "warning")
            return

        def opened(found: Evaluation) -> None:
            if self.opened and self.opened.run == here:
                self.other = compare(self.opened, found)
                app.say_command("runs", here.name, found.run.name)
                self.want(self.wanted)

        def then(name: str | None) -> None:
            if name == NOBODY:
                self.other = None
                show = "all" if self.wanted.show in NEEDS_OTHER else self.wanted.show
                self.want(replace(self.wanted, show=show))
            elif name:
                app.in_background(lambda: open_report(runs[name]), opened)

        choices = [(name, str(run.path)) for name, run in runs.items()]
        choices += [(NOBODY, "no comparison")] if self.other else []
        self.app.push_screen(Picker("Compare with which run?", choices), then)

    def action_subject(self) -> None:
        assert self.opened is not None, "allows() let it through"
        models = self.opened.models
        at = (models.index(self.opened.subject) + 1) % len(models)
        self.opened.subject = models[at]
        if self.other:
            self.other = compare(self.opened, self.other.opened)
        self.say(f"now using the verdicts of {models[at]}")
        self.want(self.wanted)

    def action_measure(self) -> None:
        assert self.opened is not None and self.opened.report is not None, "allows() let it through"
        names = metrics_table.measures(self.opened.report)
        at = names.index(self.measure) + 1 if self.measure in names else 0
        self.measure = names[at % len(names)]
        self.draw()

    def action_order(self) -> None:
        """The categories' order, or the prompts', whichever has the focus."""
        if self.query_one("#figures").has_focus:
            at = metrics_table.ORDERS.index(self.order) + 1
            self.order = metrics_table.ORDERS[at % len(metrics_table.ORDERS)]
            self.say(f"categories: {self.order}")
            self.draw()
        else:
            at = ORDERS.index(self.wanted.order) + 1
            self.want(replace(self.wanted, order=ORDERS[at % len(ORDERS)]))
            self.say(f"prompts: {self.wanted.order}")

    @property
    def _subject(self) -> str:
        return self.opened.subject if self.opened else ""
