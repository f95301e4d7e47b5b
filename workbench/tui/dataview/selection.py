"""Which rows are shown: all, or those that hold an expression, of a category, with a finding.

The rows are gone through in slices of time, so that a million of them never hold up a key; what
was found so far is shown meanwhile.
"""

from __future__ import annotations

import re
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass

from workbench.dataset.rows import Row
from workbench.tui.dataview.reading import DataReading

SLICE_S = 0.02
SEARCHED_CHARS = 50_000


@dataclass(frozen=True)
class Wanted:
    """What a row must have: `pattern` anywhere in its text, the category, a finding."""

    pattern: str = ""
    category: str = ""
    with_finding: bool = False

    @property
    def everything(self) -> bool:
        return self == Wanted()

    def told(self) -> str:
        """The filter in words."""
        parts = [f"/{self.pattern}/"] if self.pattern else []
        parts += [f"category {self.category}"] if self.category else []
        parts += ["with findings"] if self.with_finding else []
        return ", ".join(parts)


class Selection:
    """The numbers of the rows that are wanted, of those looked at so far."""

    def __init__(self, reading: DataReading, wanted: Wanted) -> None:
        self.reading, self.wanted = reading, wanted
        self._found = array("Q")
        self._looked_at = 0
        self._pattern = re.compile(wanted.pattern, re.IGNORECASE) if wanted.pattern else None

    def __len__(self) -> int:
        return len(self.reading.rows) if self.wanted.everything else len(self._found)

    def __getitem__(self, index: int) -> int:
        """The number of the row shown at `index`."""
        return index if self.wanted.everything else self._found[index]

    @property
    def behind(self) -> bool:
        """Whether there are rows that were not looked at yet."""
        if self.wanted.everything or (self.wanted.with_finding and not self.reading.done):
            return False
        return self._looked_at < len(self.reading.rows)

    def advance(self, now: Callable[[], float] = time.monotonic) -> bool:
        """Look at more rows for a slice of time; whether that brought any news."""
        before, until = self._looked_at, now() + SLICE_S
        while self.behind and now() < until:
            end = min(self._looked_at + 200, len(self.reading.rows))
            for number in range(self._looked_at, end):
                if self._matches(self.reading.rows[number]):
                    self._found.append(number)
            self._looked_at = end
        return self._looked_at != before

    def _matches(self, row: Row) -> bool:
        wanted = self.wanted
        if wanted.category and row.category != wanted.category:
            return False
        if wanted.with_finding and row.place not in self.reading.marks:
            return False
        return self._pattern is None or bool(self._pattern.search(whole_text(row)))


def pattern_fault(pattern: str) -> str:
    """What is wrong with a regular expression, "" when nothing is."""
    try:
        re.compile(pattern)
    except re.error as error:
        return f"no regular expression: {error}"
    return ""


def whole_text(row: Row) -> str:
    """All that the row says, as far as a search looks."""
    text = row.text or "\n".join(message.content for message in row.messages)
    return text[:SEARCHED_CHARS]
