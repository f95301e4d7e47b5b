"""Metrics of judged answers, per model and between two: shares, pass@k, intervals and a test.

Pure functions. A share is over prompts (with several samples a prompt counts by its mean), and
intervals resample prompts, because answers to one prompt are not independent. The headline leaves
out the categories that are reported separately; those have their own metrics.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from workbench.reports.cases import Case
from workbench.reports.evaluation_report import Estimate, PairedTest, mcnemar_exact

RESAMPLES = 2000
CONFIDENCE = 0.95
CELLS = 4_000_000  # drawn at once while resampling: bounds the memory


def pass_at_k(n: int, passed: int, k: int) -> float:
    """Unbiased chance that one of `k` answers passes, from `passed` of `n`.

    Chen et al. 2021, section 2.1, https://arxiv.org/abs/2107.03374: 1 - C(n - c, k) / C(n, k).
    """
    assert 0 <= passed <= n and 1 <= k <= n
    return 1.0 - math.comb(n - passed, k) / math.comb(n, k)


def ks_for(samples: int) -> list[int]:
    """The k of pass@k worth telling for that many samples a prompt: 1, 5, 10, 100 and all."""
    return sorted({k for k in (1, 5, 10, 100) if k <= samples} | {samples})


def estimate(values: Sequence[float], seed: int) -> Estimate:
    """Mean of `values` (one a prompt) with its percentile bootstrap interval; NaN-free.

    An empty sequence has the value 0 over 0 prompts.
    """
    if not values:
        return Estimate(0.0, 0.0, 0.0, 0)
    means = _resampled_means(values, seed)
    tail = (1.0 - CONFIDENCE) / 2
    low, high = _quantile(means, tail), _quantile(means, 1.0 - tail)
    return Estimate(math.fsum(values) / len(values), low, high, len(values))


def perplexity(nats: Sequence[float], tokens: Sequence[int], seed: int) -> Estimate:
    """exp of the loss a token over all answers, given loss and tokens of each (one a prompt).

    Tokens count alike, as in the validation loss of training; the interval resamples prompts.
    """
    assert nats and len(nats) == len(tokens) and min(tokens) > 0
    losses = _resampled_ratios(nats, tokens, seed)
    tail = (1.0 - CONFIDENCE) / 2
    low, high = _exp(_quantile(losses, tail)), _exp(_quantile(losses, 1.0 - tail))
    return Estimate(_exp(math.fsum(nats) / sum(tokens)), low, high, len(nats))


def _exp(loss: float) -> float:
    """Capped, so that JSON can hold it: a model may find a token impossible."""
    return math.exp(min(loss, 700.0))


def paired_test(first: Sequence[bool], second: Sequence[bool], seed: int) -> PairedTest:
    """Compare two models that answered the same prompts, given in the same order."""
    assert len(first) == len(second)
    pairs = list(zip(first, second, strict=True))
    only_first, only_second = pairs.count((True, False)), pairs.count((False, True))
    gains = [float(b) - float(a) for a, b in pairs]
    return PairedTest(
        both=pairs.count((True, True)),
        only_first=only_first,
        only_second=only_second,
        neither=pairs.count((False, False)),
        p_value=mcnemar_exact(only_first, only_second),
        gain=estimate(gains, seed),
    )


def _resampled_means(values: Sequence[float], seed: int) -> list[float]:
    import numpy as np

    random = np.random.default_rng(seed)
    array, n = np.asarray(values, dtype=np.float64), len(values)
    at_once = max(1, CELLS // n)
    means: list[float] = []
    while len(means) < RESAMPLES:
        rows = min(at_once, RESAMPLES - len(means))
        means += array[random.integers(0, n, (rows, n))].mean(axis=1).tolist()
    return sorted(means)


def _resampled_ratios(above: Sequence[float], below: Sequence[int], seed: int) -> list[float]:
    """Sorted sums of `above` over sums of `below`, of the same prompts drawn with replacement."""
    import numpy as np

    random = np.random.default_rng(seed)
    pair, n = np.array([above, below], dtype=np.float64), len(above)
    at_once = max(1, CELLS // n)
    ratios: list[float] = []
    while len(ratios) < RESAMPLES:
        drawn = random.integers(0, n, (min(at_once, RESAMPLES - len(ratios)), n))
        sums = pair[:, drawn].sum(axis=2)
        ratios += (sums[0] / sums[1]).tolist()
    return sorted(ratios)


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Linear interpolation between neighbours (Hyndman and Fan's type 7)."""
    at = share * (len(ordered) - 1)
    below = math.floor(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (at - below)


MOST_VALUES = 20  # of a label that figures are told by


@dataclass(frozen=True)
class Metrics:
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
class ModelMetrics:
    """A model's headline, each category, those apart, and the headline by each label's values."""

    headline: Metrics
    categories: dict[str, Metrics] = field(default_factory=dict)
    apart: dict[str, Metrics] = field(default_factory=dict)
    labels: dict[str, dict[str, Metrics]] = field(default_factory=dict)


def model_figures(cases: Sequence[Case], apart: Collection[str], seed: int) -> ModelMetrics:
    """All figures of one model."""
    names = sorted({case.category for case in cases})
    each = {name: case_metrics([c for c in cases if c.category == name], seed) for name in names}
    counted = in_headline(cases, apart)
    return ModelMetrics(
        headline=case_metrics(counted, seed),
        categories={name: value for name, value in each.items() if name not in apart},
        apart={name: value for name, value in each.items() if name in apart},
        labels=_by_label(counted, seed),
    )


def _by_label(cases: Sequence[Case], seed: int) -> dict[str, dict[str, Metrics]]:
    """Label -> value -> figures. A case with several values counts under each of them.

    Labels with one value tell nothing, those with very many are no classes.
    """
    groups: dict[str, dict[str, list[Case]]] = {}
    for case in cases:
        for name, value in dict.fromkeys(case.labels):
            groups.setdefault(name, {}).setdefault(value, []).append(case)
    return {
        name: {value: case_metrics(some, seed) for value, some in sorted(values.items())}
        for name, values in groups.items()
        if 1 < len(values) <= MOST_VALUES
    }


def case_metrics(cases: Sequence[Case], seed: int) -> Metrics:
    """The figures of these cases together."""
    measured = [case for case in cases if case.measured]
    weighed = [case for case in cases if case.expected_tokens]
    return Metrics(
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
