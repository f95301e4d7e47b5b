"""The sections of `report.md` that show cases: before and after, failed, changed, not measured.

What models and data sets wrote is shown through `visible` and inside fences longer than any they
contain, so it can neither act on a terminal nor break out of its box.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from workbench.core.text import one_line, visible
from workbench.pipeline.evaluation.result import EvaluationResult
from workbench.reports.cases import Case

EXAMPLES = 6
CASES_SHOWN = 10


def examples(result: EvaluationResult) -> str:
    """The same held-out prompts before and after, one category after the other."""
    before, after = (result.models.get(n) for n in (result.reference, result.subject))
    if before is None or after is None or result.reference == result.subject:
        return ""
    first = {case.index: case for case in before.cases if case.sample == 0}
    parts = ["## The same prompts before and after tuning"]
    for case in diverse([c for c in after.cases if c.sample == 0 and c.index in first], EXAMPLES):
        parts.append(f"### {one_line(case.prompt, 200)}")
        parts += [_said(before.name, first[case.index]), _said(after.name, case)]
    return "\n\n".join(parts) if len(parts) > 1 else ""


def diverse(cases: Sequence[Case], n: int) -> list[Case]:
    """Up to `n` cases, going round the categories; passing or not, in the order they were asked."""
    by_category: dict[str, list[Case]] = {}
    for case in cases:
        by_category.setdefault(case.category, []).append(case)
    chosen: list[Case] = []
    while len(chosen) < n and any(by_category.values()):
        for waiting in by_category.values():
            if waiting and len(chosen) < n:
                chosen.append(waiting.pop(0))
    return chosen


def _said(name: str, case: Case) -> str:
    if case.problem:
        return f"{one_line(name)}: not measured ({one_line(case.problem)})"
    verdict = {True: "passes", False: "fails", None: "not checked"}[case.passed]
    return f"{one_line(name)} ({verdict}):\n\n{fenced(case.answer)}"


def failures(result: EvaluationResult) -> str:
    model = result.models[result.subject]
    failed = [case for case in model.cases if case.passed is False]
    if not failed:
        return ""
    parts = [f"## Prompts that {one_line(result.subject)} fails ({len(failed)})"]
    for case in failed[:CASES_SHOWN]:
        parts += [
            f"{one_line(case.place)}: {one_line(case.prompt, 200)}",
            fenced(case.answer),
            f"Checker: {one_line(case.checker_says, 300) or 'no output'}",
        ]
    if len(failed) > CASES_SHOWN:
        parts.append(f"And {len(failed) - CASES_SHOWN} more in `{model.cases_file}`.")
    return "\n\n".join(parts)


def changes(result: EvaluationResult) -> str:
    """Which prompts newly fail and newly pass against the evaluation of before."""
    told = result.since
    if told is None:
        return ""
    model = "" if told.model == result.subject else f", {one_line(told.model)}"
    dated = "" if told.date in told.name else f" ({told.date})"
    parts = [f"## Compared with {one_line(told.name)}{model}{dated}", f"{told.against.sentence}."]
    for title, cases in ("failing", told.newly_failing), ("passing", told.newly_passing):
        prompts = [f"{one_line(c.place)}: {one_line(c.prompt, 200)}" for c in cases]
        if len(prompts) > CASES_SHOWN:
            prompts[CASES_SHOWN:] = [f"and {len(prompts) - CASES_SHOWN} more"]
        if prompts:
            parts.append("\n".join([f"Newly {title}:", "", *(f"- {one}" for one in prompts)]))
    return "\n\n".join(parts)


def not_measured(result: EvaluationResult) -> str:
    lines = [
        f"{one_line(model.name)}: {one_line(case.place)}: {one_line(case.problem, 200)}"
        for model in result.models.values()
        for case in model.cases
        if case.problem
    ]
    shown = lines[:CASES_SHOWN]
    if len(lines) > len(shown):
        shown.append(f"and {len(lines) - len(shown)} more in `cases/`")
    return bullets(f"Not measured ({len(lines)})", shown)


def bullets(title: str, items: Sequence[str]) -> str:
    return "\n".join([f"## {title}", "", *(f"- {item}" for item in items)]) if items else ""


def fenced(text: str) -> str:
    """`text`, visible, in a fence that it cannot close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{visible(text)}\n{fence}"
