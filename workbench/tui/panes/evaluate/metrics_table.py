"""The figures of an evaluation as lines: a row a figure or a category, a column a model.

A line knows which askings it is about, so that one can go from a figure to what lies behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.text import Text

from workbench.core.text import one_line, quantity
from workbench.reports.evaluation_report import (
    LABELS,
    Figures,
    GuardResult,
    PairedTest,
    Report,
    p_value_text,
)
from workbench.reports.status_text import SHARES
from workbench.tui.panes.evaluate.model import Evaluation, LiveEvaluation, OtherEvaluation, category
from workbench.tui.styled_text import styled, wrapped

ORDERS = ("by name", "lowest first", "largest gain first")
COUNT_WIDTH = 8
PLAIN = ("mean_tokens", "not_measured", "expected_tokens")
NO_SHARES = ("perplexity",)  # they may be above 1, and the lower the better
NOT_ROWS = ("prompts",)


@dataclass(frozen=True)
class Line:
    """`group` and `measure` are what Enter on it goes to; None where it leads nowhere."""

    text: Text
    group: str | None = None
    measure: str = ""


def measures(report: Report) -> list[str]:
    """The figures that some model has, in the order of the report."""
    known = {name for model in report.models.values() for name in model.headline}
    names = [name for name in LABELS if name in known and name not in NOT_ROWS]
    names += sorted(name for name in known if name.startswith("pass_at_"))
    if all(not model.headline.get("not_measured") for model in report.models.values()):
        names = [name for name in names if name != "not_measured"]
    return names


def lines(
    opened: Evaluation, measure: str, order: str, other: OtherEvaluation | None, width: int
) -> list[Line]:
    """All lines of the table, laid out for a width."""
    report = opened.report
    assert report is not None, "without a report there are no figures"
    shape = _Shape(opened.models, measures(report), _groups(report), width)
    found = [*_words(opened, report, other, width), Line(Text("")), Line(shape.heads("prompts"))]
    found += [
        Line(shape.row(_label(name, shape.short), _headlines(report), name), "", name)
        for name in measures(report)
    ]
    found += _categories(report, opened, shape, measure, order)
    found += _guards(report.guards, width)
    return found


def live_lines(live: LiveEvaluation, width: int) -> list[Line]:
    """How far the stage is, a row a model."""
    found = []
    for model in live.opened.models:
        cases = live.opened.cases(model)
        judged = [case for case in cases if case.passes is not None]
        passed = sum(bool(case.passes) for case in judged)
        text = styled(f" {one_line(model, 30):20} ", "bold")
        text.append(f"{len(cases):,} of {live.totals[model]:,} done", "not bold")
        if judged:
            text.append(f"  {passed:,} of {len(judged):,} checked passed", "not bold")
        found.append(Line(text, ""))
    told = "Metrics, intervals and the comparison of models appear with the report."
    return [*found, Line(Text("")), *_paragraph(told, "dim", width)]


def gain_words(subject: str, other: str, test: PairedTest) -> str:
    """`tuned vs. base: +0.950 (+0.908 to +0.983); 114 newly pass, ...`."""
    gain = test.gain
    return (
        f"{subject} vs. {other}: {gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}) on "
        f"{quantity(test.prompts, 'prompt')}; {test.only_second:,} newly pass, "
        f"{test.only_first:,} newly fail; p {p_value_text(test.p_value)} (exact McNemar test)"
    )


def _words(
    opened: Evaluation, report: Report, other: OtherEvaluation | None, width: int
) -> list[Line]:
    """The tests between models, the guards' verdict, the change against another run."""
    found = []
    for name, test in report.gains.items():
        if test is not None:
            found += _paragraph(gain_words(report.subject, name, test), "", width)
    if report.guards:
        mark, style = ("✓", "green") if report.passed else ("✗", "bold red")
        found += _paragraph(f"{mark} {report.verdict}", style, width)
    if other:
        words = f"{opened.subject} vs. {other.name}: {other.against.sentence}"
        found += _paragraph(words, "cyan", width)
    elif report.since:
        found += _paragraph(f"{report.since} (press v for details)", "", width)
    return found


def _paragraph(words: str, style: str, width: int, indent: str = " ") -> list[Line]:
    parts = wrapped(one_line(words, 2000), width - len(indent) - 1, style)
    return [Line(styled(indent + part.plain, style)) for part in parts]


def _categories(
    report: Report, opened: Evaluation, shape: _Shape, measure: str, order: str
) -> list[Line]:
    names = _groups(report)
    if not measure or not any(measure in figures for _, each in names for figures in each.values()):
        return []
    if order == "lowest first":
        names.sort(key=lambda entry: _value(entry[1], opened.subject, measure))
    elif order == "largest gain first":
        sign = -1 if measure in NO_SHARES else 1
        names.sort(
            key=lambda entry: (
                sign * _value(entry[1], report.reference, measure)
                - sign * _value(entry[1], opened.subject, measure)
            )
        )
    title = f" {_label(measure, shape.short)}, {order}"
    rows = [
        Line(shape.row(name, each, measure), name.removesuffix(APART), measure)
        for name, each in names
    ]
    return [Line(Text("")), Line(styled(title, "bold")), *rows]


APART = " (separate)"


def _groups(report: Report) -> list[tuple[str, dict[str, Figures]]]:
    """Every category with its figures by model; those reported separately say so."""
    found: dict[str, dict[str, Figures]] = {}
    for model in report.models.values():
        for name, figures in model.categories.items():
            found.setdefault(category(name), {})[model.name] = figures
    apart: dict[str, dict[str, Figures]] = {}
    for model in report.models.values():
        for name, figures in model.apart.items():
            apart.setdefault(category(name) + APART, {})[model.name] = figures
    return sorted(found.items()) + sorted(apart.items())


def _guards(guards: Sequence[GuardResult], width: int) -> list[Line]:
    if not guards:
        return []
    found = [Line(Text("")), Line(styled(" guards", "bold"))]
    for guard in guards:
        style = "green" if guard.kept else "bold red"
        lines = _paragraph(guard.sentence, style, width, "   ")
        found += [replace(line, group=f"guard {guard.name}") for line in lines]
    return found


def _headlines(report: Report) -> dict[str, Figures]:
    return {name: model.headline for name, model in report.models.items()}


def _label(name: str, short: bool) -> str:
    words = SHARES.get(name) if short else None
    return words or LABELS.get(name, name.replace("pass_at_", "pass@"))


def _value(each: dict[str, Figures], model: str, measure: str) -> float:
    value = each.get(model, {}).get(measure)
    return float(value) if value is not None else 0.0


class _Shape:
    """How wide the columns are, and how much of an interval they have room for."""

    def __init__(
        self,
        models: Sequence[str],
        names: Sequence[str],
        groups: Sequence[tuple[str, object]],
        width: int,
    ) -> None:
        for self.short, self._form in ((False, 2), (True, 2), (True, 1), (True, 0)):
            labels = [*(name for name, _ in groups), *(_label(name, self.short) for name in names)]
            self._name = max(len(one_line(label, 36)) for label in labels) + 3
            self._cells = {name: max(_FORMS[self._form], min(12, len(name))) for name in models}
            room = width - COUNT_WIDTH - sum(self._cells.values()) - 2 * len(models)
            if self._name <= room:
                break
        self._name = max(12, min(self._name, room))

    def heads(self, count: str) -> Text:
        """The names of the columns."""
        cells = "".join(f"  {one_line(name, room):{room}}" for name, room in self._cells.items())
        return styled(f"{'':{self._name}}{count:>{COUNT_WIDTH}}{cells}", "dim")

    def row(self, label: str, each: dict[str, Figures], measure: str) -> Text:
        """A row of figures, by model."""
        prompts = max((int(figures.get("prompts", 0)) for figures in each.values()), default=0)
        cells = "".join(
            f"  {_cell(each.get(name, {}), measure, self._form):{room}}"
            for name, room in self._cells.items()
        )
        name = f"   {one_line(label, self._name - 3)}"
        return Text(f"{name:{self._name}}{prompts:>{COUNT_WIDTH},}{cells}", no_wrap=True)


_FORMS = (5, 12, 19)  # cells of `0.950`, `0.95 .91-.98`, `0.950 (0.908-0.983)`


def _cell(figures: Figures, name: str, form: int) -> str:
    value = figures.get(name)
    if value is None:
        return ""
    if name in PLAIN:
        return f"{value:.0f}"
    low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
    if name in NO_SHARES and (form < 2 or low is None or high is None):
        return _five(value)
    if low is None or high is None or not form:
        return f"{value:.3f}"
    if form == 1:
        return f"{value:.2f} {_brief(low)}-{_brief(high)}"
    return f"{_five(value)} ({_five(low)}-{_five(high)})"


def _five(value: float) -> str:
    """In five characters, as well as these tell it."""
    for decimals in (3, 2, 1, 0):
        text = f"{value:.{decimals}f}"
        if len(text) <= 5:
            return text
    return f"{value:.0e}" if value < 1e10 else " high"


def _brief(share: float) -> str:
    """`.91` of 0.908, `1.0` of 1."""
    text = f"{share:.2f}"
    return text[1:] if text.startswith("0") else text[:3]
