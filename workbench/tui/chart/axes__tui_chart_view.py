"""What part of the curves is seen: all of it, growing, or a window that a person chose."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.tui.chart.axes import Range, round_end
from workbench.tui.chart.series import Series

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
