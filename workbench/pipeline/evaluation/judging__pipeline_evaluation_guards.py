"""Abilities that tuning must not lose: the same prompts before and after, and how much may go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.dataset.rows import Row
from workbench.reports.cases import Case
from workbench.reports.evaluation_report__evaluations_estimates import GuardResult
from workbench.pipeline.evaluation.judging import Checker
from workbench.core.text import quantity

TOLERANCE = 1e-9  # 0.60 - 0.55 is a little more than 0.05 in binary


@dataclass(frozen=True)
class Guard:
    """Prompts of an ability, how to judge them, and how much of the passing share may be lost."""

    name: str
    rows: tuple[Row, ...]
    checker: Checker = Checker()
    max_drop: float = 0.05


def guard_result(guard: Guard, before: Sequence[Case], after: Sequence[Case]) -> GuardResult:
    """Whether the ability was kept. A guard that could not be measured is not kept."""
    first, second = _verdicts(before), _verdicts(after)
    shared = sorted(first.keys() & second.keys())
    if not shared:
        sentence = f"{guard.name}: not measured, counted as failed"
        return GuardResult(guard.name, 0.0, 0.0, guard.max_drop, 0, False, sentence)
    was = sum(first[key] for key in shared) / len(shared)
    now = sum(second[key] for key in shared) / len(shared)
    kept = was - now <= guard.max_drop + TOLERANCE
    verdict = "passed" if kept else "FAILED"
    sentence = (
        f"{guard.name}: {verdict}, {was:.0%} before, {now:.0%} after "
        f"on {quantity(len(shared), 'prompt')} (maximum drop {guard.max_drop:.0%})"
    )
    return GuardResult(guard.name, was, now, guard.max_drop, len(shared), kept, sentence)


def _verdicts(cases: Sequence[Case]) -> dict[tuple[int, int], bool]:
    found = {}
    for case in cases:
        if case.passes is not None:
            found[case.index, case.sample] = case.passes
    return found
