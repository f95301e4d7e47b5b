"""Curves reduced to a picture's columns: first, last and extreme values of each; and smoothing.

Every picture is drawn from these, in a terminal or in a file; the cost is that of the columns.

Smoothing is an exponential moving average, in one pass over the columns. For points v the average
is s(n) = w s(n-1) + (1-w) v(n), divided by 1 - w^n so that it does not start at zero. A column of n
points counts as n points of their mean: exact for n = 1. On a curve of more than a thousand points
the weight applies to a thousandth of it, so that the same setting smooths a long curve as much, to
the eye, as a short one.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.tui.chart.axes import Range
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


Layer = tuple[str, list["Column"]]  # the name of its style, and what is drawn


@dataclass(frozen=True)
class Line:
    """A curve to draw. `style` is a name; with `smoothing` the curve itself lies dim behind."""

    name: str
    series: Series
    style: str
    smoothing: float = 0.0
    raw_style: str = ""
    dotted: bool = False  # a dot at every point, where there are few


@dataclass
class Column:
    """One column that has points: the first and last value, and the extremes."""

    at: int
    first: float
    last: float
    low: float
    high: float
    joined: bool  # no gap since the column before


def edges(series: Series, window: Range, columns: int) -> list[int]:
    """Indices that cut the series into the columns of the window."""
    width = window.span / columns
    found, at = [], 0
    for number in range(columns + 1):
        at = bisect_left(series.xs, window.low + number * width, at)
        found.append(at)
    found[-1] = bisect_left(series.xs, math.nextafter(window.high, math.inf), found[-1])
    return found


def layers(lines: Sequence[Line], window: Range, columns: int, log_y: bool) -> list[Layer]:
    """All that is drawn of the lines, from back to front, on the y scale."""
    found = [layer for line in lines for layer in _layers_of(line, window, columns)]
    behind = {line.raw_style for line in lines if line.raw_style}
    found.sort(key=lambda layer: layer[0] not in behind)  # else as given
    return [(style, scaled(cut, log_y)) for style, cut in found]


def _layers_of(line: Line, window: Range, columns: int) -> list[Layer]:
    """What is drawn for a line, from back to front: the curve, and its average before it."""
    if not len(line.series) or columns < 2:
        return []
    cuts = edges(line.series, window, columns)
    raw = _columns(line.series, cuts, window, columns)
    if line.smoothing <= 0:
        return [(line.style, raw)]
    averages = smooth(line.series, cuts, line.smoothing)
    even = [
        Column(c.at, value, value, value, value, c.joined)
        for c in raw
        if 0 <= c.at < columns and (value := averages[c.at]) is not None
    ]
    return ([(line.raw_style, raw)] if line.raw_style else []) + [(line.style, even)]


def _columns(series: Series, cuts: list[int], window: Range, columns: int) -> list[Column]:
    """The columns with points; a point just outside on either side keeps the line going."""
    found: list[Column] = []
    previous_x = -math.inf
    if 0 < cuts[0] < len(series):
        found.append(_between(series, cuts[0], window.low, -1))
        previous_x = series.xs[cuts[0] - 1]
    for at in range(columns):
        start, end = cuts[at], cuts[at + 1]
        if start == end:
            continue
        low, high = series.extremes(start, end)
        gap = bisect_left(series.gaps, series.xs[start])
        joined = gap == 0 or series.gaps[gap - 1] < previous_x
        found.append(Column(at, series.ys[start], series.ys[end - 1], low, high, joined))
        previous_x = series.xs[end - 1]
    if 0 < cuts[-1] < len(series):
        after = _between(series, cuts[-1], window.high, columns)
        gap = bisect_left(series.gaps, series.xs[cuts[-1]])
        after.joined = gap == 0 or series.gaps[gap - 1] < previous_x
        found.append(after)
    return found


def _between(series: Series, right: int, x: float, at: int) -> Column:
    """Where the line from the point before `right` to that point crosses `x`."""
    x0, x1 = series.xs[right - 1], series.xs[right]
    y0, y1 = series.ys[right - 1], series.ys[right]
    y = y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return Column(at, y, y, y, y, True)


def scaled(columns: list[Column], log_y: bool) -> list[Column]:
    """The columns on the y scale; on a logarithmic one without what is not above zero."""
    if not log_y:
        return columns
    shown = []
    for c in columns:
        if c.high > 0:
            floor = min(value for value in (c.low, c.first, c.last, c.high) if value > 0)
            shown.append(
                Column(
                    c.at,
                    math.log10(max(c.first, floor)),
                    math.log10(max(c.last, floor)),
                    math.log10(max(c.low, floor)),
                    math.log10(c.high),
                    c.joined,
                )
            )
    return shown
