"""What child processes compute for the Data pane: a row's tokens, and counts over the dataset.

For tokens only the latest requested row is answered; older requests are dropped. Counts are lengths
in tokens and the split, with a preset.
"""

from __future__ import annotations

import sys
import threading
from array import array
from collections.abc import Callable

from workbench.core.subprocesses import JsonChild, Message
from workbench.core.text import quantity
from workbench.dataset.rows import Row
from workbench.tokenization.preview import RowPreview
from workbench.tui.panes.data.model import DataModel

SERVE = (sys.executable, "-P", "-m", "workbench.runner.preview_process")


class TokenPreviews:
    """`news` is called, in another thread, when an answer has come."""

    def __init__(self, preset: str, news: Callable[[], None]) -> None:
        self.preset = preset
        self.ready = False
        self.trouble = ""  # why there are no tokens at all
        self._news = news
        self._lock = threading.Lock()
        self._wanted: Row | None = None
        self._asked: Row | None = None
        self._answered: Row | None = None
        self._answer: RowPreview | str | None = None
        self._child = JsonChild(SERVE, {"preset": preset})
        self._child.listen(self._heard)

    def look(self, row: Row) -> RowPreview | str | None:
        """The row's tokens, or why it cannot be trained on; None where that is yet to come."""
        if self.trouble:
            return self.trouble
        with self._lock:
            if row is self._answered:
                return self._answer
            self._wanted = row
            self._ask()
        return None

    def stop(self) -> None:
        """Give the tokenizer back."""
        self._child.stop()

    def _ask(self) -> None:
        """Ask for the row that is wanted, in a thread, as a long one fills the pipe."""
        row = self._wanted
        if self.ready and self._asked is None and row is not None:
            self._asked, self._wanted = row, None
            ask = threading.Thread(target=lambda: self._child.send(row.to_json()), daemon=True)
            ask.start()

    def _heard(self, said: Message) -> None:
        with self._lock:
            if "trouble" in said or "end" in said:
                self.trouble = self.trouble or said.get("trouble") or said["end"]
            elif "ready" in said:
                self.ready = True
            else:
                shown = said.get("shown")
                self._answer = said["refused"] if shown is None else RowPreview.from_json(shown)
                self._answered, self._asked = self._asked, None
            self._ask()
        self._news()


FIGURES = (sys.executable, "-P", "-m", "workbench.runner.token_counts_process")


class LengthCounts:
    """What was counted so far; `news` is called, in another thread, when it is more."""

    def __init__(self, reading: DataModel, preset: str, news: Callable[[], None]) -> None:
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
        self._child = JsonChild(FIGURES, request)
        self._child.listen(self._heard)

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

    def _heard(self, said: Message) -> None:
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
