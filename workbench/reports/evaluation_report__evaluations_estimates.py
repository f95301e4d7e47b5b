"""Figures of an evaluation as plain values, and the test that tells a gain from chance."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval, over `n` prompts."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class PairedTest:
    """Two models on the same prompts: how often only one passes, and how likely by chance alone.

    `p_value` is McNemar's exact two-sided one. `gain` is second minus first.
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float
    gain: Estimate

    @property
    def prompts(self) -> int:
        """How many prompts both models were judged on."""
        return self.both + self.only_first + self.only_second + self.neither


@dataclass(frozen=True)
class GuardResult:
    """Shares before and after over `prompts` that both were measured on; `sentence` says it all."""

    name: str
    before: float
    after: float
    max_drop: float
    prompts: int
    kept: bool
    sentence: str

    @property
    def drop(self) -> float:
        return self.before - self.after


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided p-value: were both models alike, each lone pass would be a fair coin's throw."""
    n, fewer = only_first + only_second, min(only_first, only_second)
    if n == 0:
        return 1.0
    tail = ways = 1  # C(n, 0), C(n, 1), ... one from the other
    for i in range(fewer):
        ways = ways * (n - i) // (i + 1)
        tail += ways
    return min(1.0, 2 * tail / (1 << n))


def chance(p_value: float) -> str:
    """A p-value for the eye: `= 0.0312`, `< 0.0001`."""
    return "< 0.0001" if p_value < 1e-4 else f"= {p_value:.4f}"
