"""Points of one curve with a min/max pyramid: the extremes of any stretch in O(log n).

x rises strictly and y is finite; what is no number is kept apart, by its x. Level k of the pyramid
holds the minimum and the maximum of every whole block of 2^(k+1) points. Running sums give the
mean of any stretch at once, which the smoothing needs.
"""

from __future__ import annotations

import itertools
import math
import operator
from array import array
from bisect import bisect_left
from collections.abc import Sequence

FEW = 8


class Series:
    """One curve; points are appended at its end, and can be taken back from there."""

    def __init__(self) -> None:
        self.xs = array("d")
        self.ys = array("d")
        self.gaps = array("d")  # x of points that were NaN or infinite
        self.version = 0
        self._sums = array("d", [0.0])
        self._lows: list[array[float]] = []
        self._highs: list[array[float]] = []

    def __len__(self) -> int:
        return len(self.ys)

    def append(self, x: float, y: float) -> None:
        """Add a point right of all others; one that is not is passed over. Amortised O(1)."""
        if x <= max(self.xs[-1] if self.xs else -math.inf, self.gaps[-1] if self.gaps else x - 1):
            return
        self.version += 1
        if not math.isfinite(y):
            self.gaps.append(x)
            return
        self.xs.append(x)
        self.ys.append(y)
        self._sums.append(self._sums[-1] + y)
        self._raise_levels()

    def extend(self, xs: Sequence[float], ys: Sequence[float]) -> None:
        """Add many points at once; far faster than one by one where x rises and y is finite."""
        last = max([-math.inf, *self.xs[-1:], *self.gaps[-1:]])
        rising = all(map(operator.lt, itertools.chain((last,), xs), xs))
        if len(xs) < FEW or not rising or not all(map(math.isfinite, ys)):
            for x, y in zip(xs, ys, strict=True):
                self.append(x, y)
            return
        self.xs.extend(xs)
        self.ys.extend(ys)
        sums = itertools.accumulate(ys, initial=self._sums.pop())
        self._sums.extend(sums)
        self.version += len(xs)
        self._complete_levels()

    def forget_after(self, x: float) -> None:
        """Drop all points right of `x`: a resumed run tells them again."""
        keep = bisect_left(self.xs, math.nextafter(x, math.inf))
        del self.gaps[bisect_left(self.gaps, math.nextafter(x, math.inf)) :]
        del self.xs[keep:], self.ys[keep:], self._sums[keep + 1 :]
        for level, (lows, highs) in enumerate(zip(self._lows, self._highs, strict=True)):
            blocks = keep >> (level + 1)
            del lows[blocks:], highs[blocks:]
        self.version += 1

    def between(self, left: float, right: float) -> tuple[int, int]:
        """The indices `(start, end)` of the points with left <= x < right."""
        return bisect_left(self.xs, left), bisect_left(self.xs, right)

    def extremes(self, start: int, end: int) -> tuple[float, float]:
        """Minimum and maximum of `ys[start:end]`, (inf, -inf) when that is empty."""
        low, high = math.inf, -math.inf
        while start < end:
            level = self._widest_block(start, end)
            if level == 0:
                low, high = min(low, self.ys[start]), max(high, self.ys[start])
                start += 1
                continue
            block = start >> level
            low = min(low, self._lows[level - 1][block])
            high = max(high, self._highs[level - 1][block])
            start += 1 << level
        return low, high

    def mean(self, start: int, end: int) -> float:
        """Mean of `ys[start:end]`; the stretch must not be empty."""
        return (self._sums[end] - self._sums[start]) / (end - start)

    def nearest(self, x: float) -> int | None:
        """The index of the point nearest to `x`; None without points."""
        if not self.xs:
            return None
        right = min(bisect_left(self.xs, x), len(self.xs) - 1)
        left = max(0, right - 1)
        return left if x - self.xs[left] <= self.xs[right] - x else right

    def _widest_block(self, start: int, end: int) -> int:
        """The level of the widest whole block that begins at `start` and ends by `end`."""
        level = 0
        while level < len(self._lows):
            width = 2 << level
            fits = start & (width - 1) == 0 and start + width <= end
            if not fits or start >> (level + 1) >= len(self._lows[level]):
                break
            level += 1
        return level

    def _complete_levels(self) -> None:
        """Add every whole block that a level lacks."""
        lows, highs, level = self.ys, self.ys, 0
        while len(lows) >= 2:
            if level == len(self._lows):
                self._lows.append(array("d"))
                self._highs.append(array("d"))
            start, end = 2 * len(self._lows[level]), len(lows) // 2 * 2
            self._lows[level].extend(map(min, lows[start:end:2], lows[start + 1 : end : 2]))
            self._highs[level].extend(map(max, highs[start:end:2], highs[start + 1 : end : 2]))
            lows, highs = self._lows[level], self._highs[level]
            level += 1

    def _raise_levels(self) -> None:
        """Close every block of the pyramid that the newest point has filled."""
        count, level = len(self.ys), 0
        while count & 1 == 0:
            if level == len(self._lows):
                self._lows.append(array("d"))
                self._highs.append(array("d"))
            lows = self.ys if level == 0 else self._lows[level - 1]
            highs = self.ys if level == 0 else self._highs[level - 1]
            self._lows[level].append(min(lows[count - 2], lows[count - 1]))
            self._highs[level].append(max(highs[count - 2], highs[count - 1]))
            count >>= 1
            level += 1
