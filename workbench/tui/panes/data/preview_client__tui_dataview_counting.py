"""Counts that a helper process makes of a data set with a preset: lengths in tokens, the split."""

from __future__ import annotations

from array import array
from collections.abc import Callable

from workbench.core.subprocesses import Child, Said
from workbench.core.text import quantity
from workbench.tui.panes.data.model import DataReading

FIGURES = "workbench.runner.token_counts_process"


class Counting:
    """What was counted so far; `news` is called, in another thread, when it is more."""

    def __init__(self, reading: DataReading, preset: str, news: Callable[[], None]) -> None:
        self.lengths = array("Q")
        self.refused = 0  # rows that cannot be trained on
        self.of = 0  # rows that are counted, of all
        self.limits: dict[str, int] = {}
        self.split: dict[str, dict[str, int]] = {}
        self.trouble = ""
        self.done = False
        self._news = news
        request = {
            "source": reading.source.to_json(),
            "rows": len(reading),
            "preset": preset,
        }
        self._child = Child(FIGURES, request, self._heard)

    def stop(self) -> None:
        """Count no further."""
        self._child.stop()

    def told(self, rows: int) -> str:
        """What the lengths are of, in words."""
        if self.trouble:
            return self.trouble
        counted = len(self.lengths) + self.refused
        of = (
            f"{self.of:,} of {quantity(rows, 'row')}, evenly sampled"
            if self.of < rows
            else "all rows"
        )
        refused = f"; {self.refused:,} cannot be used for training" if self.refused else ""
        if not self.done:
            so_far = f" {counted:,} of {self.of:,}" if self.of else ""
            return f"counting{so_far} ...{refused}"
        return of + refused

    def _heard(self, said: Said) -> None:
        if "split" in said:
            self.split = said["split"]
        elif "limits" in said:
            self.limits, self.of = said["limits"], said["of"]
        elif "lengths" in said:
            self.lengths.extend(length for length in said["lengths"] if length)
            self.refused += said["lengths"].count(0)
        else:
            self.trouble = self.trouble or said.get("refused") or said.get("trouble") or said["end"]
            self.done = "end" in said
        self._news()
