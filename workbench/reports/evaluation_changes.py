"""What changed from one evaluation to another: which prompts newly pass, which newly fail.

Prompts are the same when their text is the same: two runs hold out different rows, in different
orders. A prompt that occurs several times is paired in the order of asking.

The earlier evaluation is of the same run, or else of other runs before it. The first that shares a
prompt and has a different answer is reported; one that cannot be read, asked something else or got
identical answers (the same model again) is skipped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from workbench.core.errors import UserError
from workbench.core.text import quantity
from workbench.reports.cases import Case, Key
from workbench.reports.evaluation_report import (
    NAME,
    Report,
    mcnemar_exact,
    p_value_text,
    read_report,
)
from workbench.run.folder import RunFolder, list_runs

Change = Literal["newly passing", "newly failing", "as before", "not comparable"]
CaseIdentity = tuple[str, int, tuple[tuple[str, str], ...], str, int]


@dataclass(frozen=True)
class EvaluationChanges:
    """Each case of now (by its key) with its twin of before, where there is one, and the change.

    `counts` are over the first answers to the prompts of the headline, as the report's own test
    is: guards and categories reported apart are left out. `gone` prompts are not asked any more.
    """

    before: dict[Key, Case]
    changes: dict[Key, Change]
    counts: Counter[Change]
    gone: int

    @property
    def p_value(self) -> float:
        """How likely so uneven a change is by chance alone (McNemar, exact, two-sided)."""
        return mcnemar_exact(self.counts["newly failing"], self.counts["newly passing"])

    @property
    def sentence(self) -> str:
        """`7 newly pass, 2 newly fail on 120 shared prompts; p = 0.1797 (exact McNemar test)`."""
        passing, failing = self.counts["newly passing"], self.counts["newly failing"]
        shared = passing + failing + self.counts["as before"]
        words = (
            f"{passing:,} newly pass, {failing:,} newly fail on {quantity(shared, 'shared prompt')}"
        )
        if passing or failing:
            words += f"; p {p_value_text(self.p_value)} (exact McNemar test)"
        lone = [
            (self.counts["not comparable"], "not comparable"),
            (self.gone, "only in the earlier evaluation"),
        ]
        return words + "".join(f"; {count:,} {what}" for count, what in lone if count)


def compare_cases(
    now: Iterable[Case], before: Iterable[Case], apart: Collection[str] = ()
) -> EvaluationChanges:
    """Compare a model's cases with those of another evaluation; `apart` are categories."""
    known = dict(_said(before))
    twins: dict[Key, Case] = {}
    changes: dict[Key, Change] = {}
    counts: Counter[Change] = Counter()
    for said, case in _said(now):
        twin = known.pop(said, None)
        if twin:
            twins[case.key] = twin
        changes[case.key] = _change(case, twin)
        if counted(case, apart):
            counts[changes[case.key]] += 1
    gone = sum(map(counted, known.values()))
    return EvaluationChanges(twins, changes, counts, gone)


def counted(case: Case, apart: Collection[str] = ()) -> bool:
    """Whether it stands in the headline: a first answer, no guard's, of no category apart."""
    return not case.sample and not case.guard and case.category not in apart


def _change(case: Case, twin: Case | None) -> Change:
    if twin is None or case.passes is None or twin.passes is None:
        return "not comparable"
    if case.passes == twin.passes:
        return "as before"
    return "newly passing" if case.passes else "newly failing"


def _said(cases: Iterable[Case]) -> list[tuple[CaseIdentity, Case]]:
    """Each case with what makes it the same as one of another evaluation."""
    times: Counter[tuple[object, ...]] = Counter()
    found: list[tuple[CaseIdentity, Case]] = []
    for case in cases:
        what = (case.guard, case.sample, case.earlier, case.prompt)
        times[what] += 1
        found.append(((*what, times[what]), case))
    return found


@dataclass(frozen=True)
class ChangesSince:
    """How a model's cases stand against those of `model` in the evaluation called `name`.

    The cases are those that `against` counts.
    """

    name: str
    date: str
    model: str
    against: EvaluationChanges
    newly_failing: tuple[Case, ...]
    newly_passing: tuple[Case, ...]

    def as_json(self) -> dict[str, Any]:
        """Names, counts and the test, as plain values."""
        counts = {change.replace(" ", "_"): n for change, n in self.against.counts.items()}
        told = {"name": self.name, "date": self.date, "model": self.model}
        told["sentence"] = self.against.sentence
        return told | counts | {"gone": self.against.gone, "p_value": self.against.p_value}


@dataclass(frozen=True)
class EarlierEvaluation:
    """An evaluation of before, and what to call it; its cases are read when they are needed."""

    name: str
    report: Report


def changes_since(
    subject: str,
    cases: Sequence[Case],
    apart: Collection[str],
    earlier: Iterable[EarlierEvaluation],
) -> ChangesSince | None:
    """The change against the first of `earlier` that has something to tell; None when none has."""
    for before in earlier:
        try:
            found = compared(subject, cases, apart, before)
        except UserError:
            continue
        twins = found.against.before
        if any(one.answer != twins[one.key].answer for one in cases if one.key in twins):
            return found
    return None


def compared(
    subject: str, cases: Sequence[Case], apart: Collection[str], earlier: EarlierEvaluation
) -> ChangesSince:
    """The change against the model of the same name, or the one that was judged there.

    Raises UserError when its cases cannot be read.
    """
    report = earlier.report
    name = subject if subject in report.models else report.subject
    found = compare_cases(cases, report.models[name].read_cases(), apart)

    def those(change: Change) -> tuple[Case, ...]:
        changed = (case for case in cases if found.changes[case.key] == change)
        return tuple(case for case in changed if counted(case, apart))

    failing, passing = those("newly failing"), those("newly passing")
    return ChangesSince(earlier.name, report.date, name, found, failing, passing)


LOOKED_AT = 20  # runs; whoever keeps hundreds compares with the latest


def earlier_evaluations(run: RunFolder) -> Iterator[EarlierEvaluation]:
    """The newest first, each read when it is asked for; what cannot be read is left out.

    The run's own goes first: it tells what going on with the training has changed.
    """
    own = _read(run.evaluation)
    if own:
        yield EarlierEvaluation(f"the evaluation of {own.date}", own)
    yield from _of_others(run)


def _of_others(run: RunFolder) -> Iterator[EarlierEvaluation]:
    others = (other for other in list_runs(run.path.parent) if other.path != run.path)
    reports = {other.evaluation / NAME: other for other in others}
    dated = sorted(((_written(path), path) for path in reports), reverse=True)
    for written, path in dated[:LOOKED_AT]:
        report = _read(path.parent) if written else None
        if report:
            yield EarlierEvaluation(reports[path].name, report)


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _read(folder: Path) -> Report | None:
    try:
        return read_report(folder)
    except (UserError, OSError):
        return None
