"""What has changed from one evaluation to another: which prompts newly pass, which newly fail.

Prompts are the same when they say the same: two runs hold out other rows, in another order. A
prompt that stands there several times is paired in the order of asking.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from workbench.reports.cases import Case, Key
from workbench.reports.evaluation_report__evaluations_estimates import chance, mcnemar_exact
from workbench.core.text import quantity

Change = Literal["newly passing", "newly failing", "as before", "not comparable"]
Said = tuple[str, int, tuple[tuple[str, str], ...], str, int]


@dataclass(frozen=True)
class Against:
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
            words += f"; p {chance(self.p_value)} (exact McNemar test)"
        lone = [
            (self.counts["not comparable"], "not comparable"),
            (self.gone, "only in the earlier evaluation"),
        ]
        return words + "".join(f"; {count:,} {what}" for count, what in lone if count)


def against(now: Iterable[Case], before: Iterable[Case], apart: Collection[str] = ()) -> Against:
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
    return Against(twins, changes, counts, gone)


def counted(case: Case, apart: Collection[str] = ()) -> bool:
    """Whether it stands in the headline: a first answer, no guard's, of no category apart."""
    return not case.sample and not case.guard and case.category not in apart


def _change(case: Case, twin: Case | None) -> Change:
    if twin is None or case.passes is None or twin.passes is None:
        return "not comparable"
    if case.passes == twin.passes:
        return "as before"
    return "newly passing" if case.passes else "newly failing"


def _said(cases: Iterable[Case]) -> list[tuple[Said, Case]]:
    """Each case with what makes it the same as one of another evaluation."""
    times: Counter[tuple[object, ...]] = Counter()
    found: list[tuple[Said, Case]] = []
    for case in cases:
        what = (case.guard, case.sample, case.earlier, case.prompt)
        times[what] += 1
        found.append(((*what, times[what]), case))
    return found
