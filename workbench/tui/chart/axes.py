"""Axes: the visible range (all of the curves, or a chosen window), ticks on round numbers, labels.

Ranges do not jump with every point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.tui.chart.series import Series

CLIP_SHARE = 0.98
CLIP_FACTOR = 2.0
MIN_FOR_CLIP = 40
ROWS_FOR_MORE = 8


@dataclass(frozen=True)
class Range:
    """What an axis spans, in the units of its scale (log10 of the value when logarithmic)."""

    low: float
    high: float

    @property
    def span(self) -> float:
        return self.high - self.low


def round_step(span: float, count: int) -> float:
    """The step of 1, 2 or 5 times a power of ten that cuts `span` into at most `count` parts."""
    rough = span / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999999)


def ticks(axis: Range, count: int) -> list[float]:
    """Round values inside the range, about `count` of them."""
    step = round_step(axis.span, count)
    first, last = math.ceil(axis.low / step - 1e-9), math.floor(axis.high / step + 1e-9)
    return [n * step for n in range(first, last + 1)]


def enough_ticks(axis: Range, count: int, rows: int) -> list[float]:
    """As `ticks`, but on a finer step where there is room and a coarse one leaves few."""
    found = ticks(axis, count)
    enough = 3 if rows >= ROWS_FOR_MORE else 2
    return found if len(found) >= enough else ticks(axis, count + 2)


def log_ticks(axis: Range, count: int) -> list[float]:
    """Logarithms of round values: decades, and 2 and 5 between them where there is room."""
    for factors in ((1, 2, 3, 5, 7), (1, 2, 5), (1,)):
        found = [
            math.log10(factor) + decade
            for decade in range(math.floor(axis.low), math.ceil(axis.high) + 1)
            for factor in factors
        ]
        inside = [tick for tick in found if axis.low - 1e-9 <= tick <= axis.high + 1e-9]
        if len(inside) <= max(2, count):
            return inside
    return inside[:: max(1, len(inside) // max(1, count))]


def marks(axis: Range, count: int, rows: int, log: bool) -> list[tuple[float, str]]:
    """Place and label of the ticks of a value axis of so many rows."""
    found = log_ticks(axis, count) if log else enough_ticks(axis, count, rows)
    step = found[1] - found[0] if len(found) > 1 else axis.span
    return [(tick, label(10**tick, 10**tick) if log else label(tick, step)) for tick in found]


def value_range(lows: Sequence[float], highs: Sequence[float]) -> tuple[Range, bool]:
    """The range that holds all lows and highs, rounded outwards; True when peaks are clipped.

    A few peaks far above the rest (the last 2 %) would flatten everything else: they are cut.
    """
    if not highs:
        return Range(0.0, 1.0), False
    low, high = min(lows), max(highs)
    usual = sorted(highs)[min(len(highs) - 1, int(CLIP_SHARE * len(highs)))]
    clipped = len(highs) >= MIN_FOR_CLIP and high - low > CLIP_FACTOR * (usual - low) > 0
    return rounded(low, usual if clipped else high), clipped


def rounded(low: float, high: float) -> Range:
    """The range widened to a quarter of a round step, so that it stays while points come in."""
    if high - low < 1e-12 * max(1.0, abs(high)):
        half = abs(high) / 10 or 0.5
        low, high = low - half, high + half
    quantum = round_step(high - low, 4) / 4
    return Range(math.floor(low / quantum) * quantum, math.ceil(high / quantum) * quantum)


def round_end(last: float) -> float:
    """An end for the x axis a little beyond `last`, the same for many points to come."""
    if last <= 0:
        return 1.0
    quantum = max(1.0, 10.0 ** math.floor(math.log10(last)) / 4)
    return math.ceil(last / quantum) * quantum


def label(value: float, step: float) -> str:
    """A tick's label with the digits that its step needs: `0.25`, `1.0e-04`, `12k`."""
    if value == 0:
        return "0"
    size = max(abs(value), step)
    if size >= 10_000:
        return count(value)
    if size < 0.001:
        return f"{value:.1e}".replace("e-0", "e-")
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:.{min(digits, 6)}f}"


def count(value: float) -> str:
    """A step for the eye: `850`, `1,200`, `12.5k`, `1.2M`."""
    if abs(value) >= 1_000_000:
        return f"{value / 1_000_000:.4g}M"
    return f"{value / 1000:.4g}k" if abs(value) >= 10_000 else f"{value:,.0f}"


def figure(value: float) -> str:
    """A value for the eye, four digits: `0.4321`, `1.2e-05`."""
    if not math.isfinite(value):
        return "NaN"
    small = 0 < abs(value) < 0.001
    return f"{value:.2e}".replace("e-0", "e-") if small else f"{value:.4g}"


NARROWEST = 4.0  # steps


class View:
    """`window` is what to draw; `fixed` when it was zoomed or panned. `crosshair` is an x."""

    def __init__(self) -> None:
        self.crosshair: float | None = None
        self.fixed = False
        self._low, self._high = 0.0, 1.0
        self._first, self._end = 0.0, 1.0

    @property
    def window(self) -> Range:
        return Range(self._low, self._high)

    @property
    def key(self) -> tuple[object, ...]:
        """Changes when another picture is to be drawn."""
        return (
            self.fixed,
            self._low if self.fixed else 0,
            self._high if self.fixed else 0,
            self.crosshair,
        )

    def bound(self, series: Sequence[Series], planned_end: float) -> None:
        """Take in how far the curves reach; `planned_end` (0: unknown) is where they will end."""
        lasts = [max([*one.xs[-1:], *one.gaps[-1:]]) for one in series if one.xs or one.gaps]
        last = max(lasts, default=1.0)
        self._end = round_end(last)
        if planned_end >= last:
            self._end = min(self._end, planned_end)
        self._end = max(self._end, self._first + NARROWEST)
        if not self.fixed:
            self._low, self._high = self._first, self._end

    def zoom(self, factor: float, around: float | None = None) -> None:
        """Show `factor` times as much (0.5: twice as large) around an x, or the right end."""
        span = self._high - self._low
        centre = around if around is not None else self.crosshair
        if centre is None:
            centre = self._high
        wide = min(self._end - self._first, max(NARROWEST, span * factor))
        low = centre - (centre - self._low) * wide / span
        self._move_to(low, wide)

    def pan(self, share: float) -> None:
        """Move by a share of the window; to the right when positive."""
        wide = self._high - self._low
        self._move_to(self._low + share * wide, wide)

    def reset(self) -> None:
        """All of the curves again, without a crosshair."""
        self.fixed, self.crosshair = False, None
        self._low, self._high = self._first, self._end

    def _move_to(self, low: float, wide: float) -> None:
        low = max(self._first, min(low, self._end - wide))
        self._low, self._high = low, low + wide
        self.fixed = wide < self._end - self._first
