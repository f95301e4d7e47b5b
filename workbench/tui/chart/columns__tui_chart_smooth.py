"""An exponential moving average over what is seen, in one pass over the columns of a chart.

For points v the average is s(n) = w s(n-1) + (1-w) v(n), divided by 1 - w^n so that it does not
start at zero. A column of n points counts as n points of their mean: exact for n = 1. On a curve
of more than a thousand points the weight applies to a thousandth of it, so that the same setting
smooths a long curve as much, to the eye, as a short one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from workbench.tui.chart.series import Series

FULL_WEIGHT_POINTS = 1000
WARM_UP_STEPS = 64
REMEMBERED = 14.0  # e^-14: what lies further back weighs less than a millionth


def weight_of_point(weight: float, points: int) -> float:
    """The weight of the past at each single point of a curve of so many."""
    return math.pow(weight, min(1.0, FULL_WEIGHT_POINTS / max(1, points)))


def smooth(series: Series, edges: Sequence[int], weight: float) -> list[float | None]:
    """The average at the end of each column; column k holds the points edges[k]:edges[k+1].

    A column without points has None.
    """
    kept = weight_of_point(weight, len(series))
    average, share = _warm_up(series, edges[0], kept)
    found: list[float | None] = []
    for start, end in zip(edges, edges[1:], strict=False):
        if start == end:
            found.append(None)
            continue
        average, share = _step(series, start, end, kept, average, share)
        found.append(average / share)
    return found


def _warm_up(series: Series, end: int, kept: float) -> tuple[float, float]:
    """The average before the first column, from as far back as it remembers."""
    memory = math.ceil(REMEMBERED / -math.log(kept)) if kept > 0 else 0
    first = max(0, end - memory)
    stride = max(1, (end - first) // WARM_UP_STEPS)
    average, share = 0.0, 0.0
    for at in range(first, end, stride):
        average, share = _step(series, at, min(end, at + stride), kept, average, share)
    return average, share


def _step(
    series: Series, start: int, end: int, kept: float, average: float, share: float
) -> tuple[float, float]:
    past = kept ** (end - start)
    return past * average + (1 - past) * series.mean(start, end), past * share + (1 - past)
