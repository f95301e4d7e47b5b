"""Figures from judged answers: shares, pass@k, intervals, and a test between two models.

Pure functions. A share is always over prompts (with several samples a prompt counts by its mean),
and intervals resample prompts, because answers to one prompt are not independent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from workbench.reports.evaluation_report__evaluations_estimates import Estimate, PairedTest, mcnemar_exact

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
