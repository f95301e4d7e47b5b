"""The figures of one model from its cases, and of two models side by side.

The headline leaves out the categories that are reported apart; those get figures of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from workbench.reports.cases import Case
from workbench.reports.evaluation_report__evaluations_estimates import Estimate, PairedTest
from workbench.pipeline.evaluation.metrics import (
    estimate,
    ks_for,
    paired_test,
    pass_at_k,
    perplexity,
)

MOST_VALUES = 20  # of a label that figures are told by


@dataclass(frozen=True)
class Figures:
    """Shares over prompts, each with its interval; None where there was nothing to judge by.

    `pass_at` maps k to pass@k; `not_measured` counts answers that could not be had. `perplexity`
    is no share: that of the expected answers' tokens, of which there are `expected_tokens`.
    """

    prompts: int
    not_measured: int
    passed: Estimate | None
    pass_at: dict[int, float]
    adheres: Estimate | None
    exact: Estimate | None
    stopped: Estimate | None
    mean_tokens: float
    perplexity: Estimate | None
    expected_tokens: int


@dataclass(frozen=True)
class ModelFigures:
    """A model's headline, each category, those apart, and the headline by each label's values."""

    headline: Figures
    categories: dict[str, Figures] = field(default_factory=dict)
    apart: dict[str, Figures] = field(default_factory=dict)
    labels: dict[str, dict[str, Figures]] = field(default_factory=dict)


def model_figures(cases: Sequence[Case], apart: Collection[str], seed: int) -> ModelFigures:
    """All figures of one model."""
    names = sorted({case.category for case in cases})
    each = {name: figures([c for c in cases if c.category == name], seed) for name in names}
    counted = in_headline(cases, apart)
    return ModelFigures(
        headline=figures(counted, seed),
        categories={name: value for name, value in each.items() if name not in apart},
        apart={name: value for name, value in each.items() if name in apart},
        labels=_by_label(counted, seed),
    )


def _by_label(cases: Sequence[Case], seed: int) -> dict[str, dict[str, Figures]]:
    """Label -> value -> figures. A case with several values counts under each of them.

    Labels with one value tell nothing, those with very many are no classes.
    """
    groups: dict[str, dict[str, list[Case]]] = {}
    for case in cases:
        for name, value in dict.fromkeys(case.labels):
            groups.setdefault(name, {}).setdefault(value, []).append(case)
    return {
        name: {value: figures(some, seed) for value, some in sorted(values.items())}
        for name, values in groups.items()
        if 1 < len(values) <= MOST_VALUES
    }


def figures(cases: Sequence[Case], seed: int) -> Figures:
    """The figures of these cases together."""
    measured = [case for case in cases if case.measured]
    weighed = [case for case in cases if case.expected_tokens]
    return Figures(
        prompts=len({case.index for case in cases}),
        not_measured=len(cases) - len(measured),
        passed=_share(measured, lambda case: case.passed, seed),
        pass_at=_pass_at(measured),
        adheres=_share(measured, lambda case: case.adheres, seed),
        exact=_share(measured, lambda case: case.exact, seed),
        stopped=_share(measured, lambda case: case.stopped == "stop", seed),
        mean_tokens=sum(case.n_tokens for case in measured) / max(1, len(measured)),
        perplexity=_perplexity(weighed, seed),
        expected_tokens=sum(case.expected_tokens for case in weighed),
    )


def in_headline(cases: Iterable[Case], apart: Collection[str]) -> list[Case]:
    """The cases that the headline, and the test between two models, are about."""
    return [case for case in cases if case.category not in apart]


def compare(first: Sequence[Case], second: Sequence[Case], seed: int) -> PairedTest | None:
    """Whether the second model passes more prompts than the first: the first sample of each.

    Prompts that one of them was not measured on are left out; None when no prompt is left.
    """
    verdicts = [_first_verdicts(cases) for cases in (first, second)]
    shared = sorted(verdicts[0].keys() & verdicts[1].keys())
    if not shared:
        return None
    return paired_test([verdicts[0][i] for i in shared], [verdicts[1][i] for i in shared], seed)


def _first_verdicts(cases: Iterable[Case]) -> dict[int, bool]:
    judged = (case for case in cases if case.sample == 0 and case.measured)
    return {case.index: case.passed for case in judged if case.passed is not None}


def _by_prompt(cases: Sequence[Case], of: Callable[[Case], bool | None]) -> list[list[bool]]:
    prompts: dict[int, list[bool]] = {}
    for case in cases:
        verdict = of(case)
        if verdict is not None:
            prompts.setdefault(case.index, []).append(verdict)
    return list(prompts.values())


def _share(cases: Sequence[Case], of: Callable[[Case], bool | None], seed: int) -> Estimate | None:
    prompts = _by_prompt(cases, of)
    means = [sum(verdicts) / len(verdicts) for verdicts in prompts]
    return estimate(means, seed) if means else None


def _perplexity(weighed: Sequence[Case], seed: int) -> Estimate | None:
    if not weighed:
        return None
    nats, tokens = [c.expected_nats for c in weighed], [c.expected_tokens for c in weighed]
    return perplexity(nats, tokens, seed)


def _pass_at(cases: Sequence[Case]) -> dict[int, float]:
    """Over the prompts that have all their samples, so that every k is possible."""
    prompts = _by_prompt(cases, lambda case: case.passed)
    samples = max((len(verdicts) for verdicts in prompts), default=0)
    whole = [verdicts for verdicts in prompts if len(verdicts) == samples]
    if samples == 0:
        return {}
    return {
        k: sum(pass_at_k(samples, sum(verdicts), k) for verdicts in whole) / len(whole)
        for k in ks_for(samples)
    }
