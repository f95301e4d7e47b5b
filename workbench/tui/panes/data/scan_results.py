"""What the helper that reads all of a data set has said so far: findings, counts, how far it is."""

from __future__ import annotations

from collections import Counter

from workbench.core.subprocesses import Message
from workbench.dataset.checks.findings import severity
from workbench.dataset.rows import Fault, Place

SIGNS = {"error": "✗", "warning": "!", "note": "·"}
REPEATED = "="
SIGN_STYLES = {"✗": "bold red", REPEATED: "cyan", "!": "yellow", "·": "dim"}
SIGN_NOUNS = {"✗": "error", REPEATED: "duplicate", "!": "warning", "·": "note"}
_WEIGHT = {"✗": 3, "!": 2, REPEATED: 1, "·": 0, "": -1}


class ScanResults:
    """`findings` in the order they came; of one code only so many are kept, `counts` has all."""

    def __init__(self) -> None:
        self.findings: list[Fault] = []
        self.places: list[tuple[str, int]] = []  # of each: the file, the line its record lies at
        self.signs: dict[Place, str] = {}
        self.counts: Counter[str] = Counter()
        self.by_sign: Counter[str] = Counter()
        self.categories: Counter[str] = Counter()
        self.rows = self.line = 0
        self.path = self.trouble = ""
        self.read = self.full = self.done = False

    def hear(self, said: Message) -> None:
        """Take in one line."""
        if "end" in said:
            self.trouble = self.trouble or said["end"]
            self.read = self.done = True
            return
        if "trouble" in said:
            self.trouble = said["trouble"]
            return
        for value in said["found"]:
            line = value.pop("at")
            fault = Fault(**value | {"place": Place(**value["place"])})
            self._sign(fault)
            self.places.append((fault.place.path, line))
            self.findings.append(fault)
        self.counts, self.categories = Counter(said["counts"]), Counter(said["categories"])
        self.rows, self.line, self.path = said["rows"], said["line"], said["path"]
        self.read, self.full = said["read"], said["full"]

    @property
    def left_out(self) -> int:
        """Findings that were counted and not kept."""
        return self.counts.total() - len(self.findings)

    def _sign(self, fault: Fault) -> None:
        new = sign(fault)
        self.by_sign[new] += 1
        if _WEIGHT[new] > _WEIGHT[self.signs.get(fault.place, "")]:
            self.signs[fault.place] = new


def sign(fault: Fault) -> str:
    """One character for a finding's weight."""
    return REPEATED if fault.code == "duplicate" else SIGNS[severity(fault)]
