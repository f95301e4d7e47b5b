"""Which rows are shown: all, or those that hold an expression, of a category, with a finding.

A helper process goes through the rows; what it found so far is shown meanwhile, and `stop` leaves
it at that. Rows with a finding are known already.
"""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass

from workbench.core.subprocesses import JsonChild, Message
from workbench.core.text import one_line
from workbench.dataset.browse import search_process
from workbench.tui.panes.data.model import DataModel

SEARCH = (sys.executable, "-P", "-m", "workbench.dataset.browse.search_process")


@dataclass(frozen=True)
class RowFilter:
    """What a row must have: `pattern` anywhere in its text, the category, a finding."""

    pattern: str = ""
    category: str = ""
    with_finding: bool = False

    @property
    def everything(self) -> bool:
        return self == RowFilter()

    def told(self) -> str:
        """The filter in words."""
        parts = [f"/{one_line(self.pattern, 40)}/"] if self.pattern else []
        parts += [f"category {one_line(self.category, 40)}"] if self.category else []
        parts += ["with findings"] if self.with_finding else []
        return ", ".join(parts)


class FilteredRows:
    """The rows that are wanted, of those looked at so far."""

    def __init__(self, reading: DataModel, wanted: RowFilter) -> None:
        self.reading, self.wanted = reading, wanted
        self.generation = reading.generation
        self.trouble = ""
        self.busy = False
        self._stopped = False
        self._rows_seen = 0
        self._hits = array("Q")
        self._both = array("Q")
        self._both_of = (-1, -1)
        self._child = self._search() if wanted.pattern or wanted.category else None

    def __len__(self) -> int:
        return len(self.reading) if self.wanted.everything else len(self._keys())

    def __getitem__(self, index: int) -> int | None:
        """The number of the row shown at `index`, None where it is gone."""
        if self.wanted.everything:
            return index
        keys = self._keys()
        return self.reading.number_of(keys[index]) if index < len(keys) else None

    def told(self) -> str:
        """How far the search is, or where it was stopped; "" when it is through."""
        share = f"{self.reading.share(self._rows_seen):.0%}"
        if self.busy:
            return f"searching, {share}"
        return self.trouble or (f"stopped at {share}" if self._stopped else "")

    def stop(self) -> None:
        """Look no further; what was found stays."""
        if self._child and self.busy:
            self._child.stop()
            self.busy, self._stopped = False, True

    def _search(self) -> JsonChild:
        wanted = search_process.RowQuery(self.wanted.pattern, self.wanted.category)
        self.busy = True
        request = {
            "source": self.reading.source.to_json(),
            "wanted": wanted.to_json(),
            "spooled": self.reading.spooled,
        }
        child = JsonChild(SEARCH, request)
        child.listen(self._heard)
        return child

    def _heard(self, said: Message) -> None:
        if "end" in said or "trouble" in said:
            self.trouble = self.trouble or said.get("end") or said.get("trouble", "")
            self.busy = False
            return
        self._rows_seen = said["rows"]
        for path, lines in said["found"].items():
            keys = (self.reading.key(path, line) for line in lines)
            self._hits.extend(key for key in keys if key is not None)

    def _keys(self) -> array[int]:
        if not self.wanted.with_finding:
            return self._hits
        places = self.reading.found.places
        if self._both_of != (len(self._hits), len(places)):
            self._both_of = (len(self._hits), len(places))
            keys = {self.reading.key(path, line) for path, line in places if line}
            marked = sorted(key for key in keys if key is not None)
            self._both = array("Q", [k for k in self._hits if k in keys] if self._child else marked)
        return self._both
