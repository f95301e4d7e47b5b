"""Rows far longer or shorter than the others: often two examples in one, or what is left of one.

Far out in Tukey's sense: beyond three times the middle half's width from it, measured on the
logarithm of the length, as lengths of texts spread by factors; and by a factor of four at least.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

MIN_ROWS = 30
FENCES = 3.0
MIN_FACTOR = 4.0


def fences(lengths: Sequence[int]) -> tuple[float, float]:
    """(shortest, longest) length that is ordinary; everything is, among few rows."""
    if len(lengths) < MIN_ROWS:
        return 0.0, float("inf")
    ordered = sorted(lengths)
    low, middle, high = (log(max(1, ordered[len(ordered) * q // 4])) for q in (1, 2, 3))
    reach = FENCES * (high - low)
    shortest = min(low - reach, middle - log(MIN_FACTOR))
    longest = max(high + reach, middle + log(MIN_FACTOR))
    return exp(shortest), exp(longest)
