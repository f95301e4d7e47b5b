"""All that was found in a data set: counted by code, kept with its place, filtered by code.

Every finding counts; of one code no more than ten thousand are kept, so that a broken set of a
million rows fills no memory. What is not kept is told as a number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from workbench.dataset.checks.findings import CODES, Severity, severity
from workbench.dataset.rows import Fault
from workbench.core.text import quantity

MAX_KEPT = 10_000
PLACES_SHOWN = 5
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Wanted:
    """Which codes are told: `only` these, where any are named, and none of `ignored`."""

    only: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()

    def __contains__(self, code: str) -> bool:
        return code not in self.ignored and (not self.only or code in self.only)


@dataclass
class Findings:
    """Findings in the order they came. What is not wanted is left out of everything but `fatal`."""

    wanted: Wanted = field(default_factory=Wanted)
    counts: Counter[str] = field(default_factory=Counter)
    fatal: int = 0
    _kept: list[Fault] = field(default_factory=list)
    _weights: Counter[Severity] = field(default_factory=Counter)

    def add(self, found: Iterable[Fault]) -> None:
        for fault in found:
            self.fatal += fault.fatal
            if fault.code not in self.wanted:
                continue
            self.counts[fault.code] += 1
            self._weights[severity(fault)] += 1
            if self.counts[fault.code] <= MAX_KEPT:
                self._kept.append(fault)

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._kept)

    def __len__(self) -> int:
        return self.counts.total()

    def of(self, weight: Severity) -> list[Fault]:
        """The kept findings of that severity."""
        return [fault for fault in self._kept if severity(fault) == weight]

    def told(self) -> str:
        """`1 error, 12 warnings, 0 notes`."""
        numbers = [(self._weights[weight], weight) for weight in SEVERITIES]
        return ", ".join(quantity(count, weight) for count, weight in numbers)

    def lines(self, every: bool = False) -> Iterator[str]:
        """Each code with its number and first places, or every place; errors are told elsewhere."""
        for weight in SEVERITIES[1:]:
            found = self.of(weight)
            for code in dict.fromkeys(fault.code for fault in found):
                count = self.counts[code]
                meaning = f": {CODES[code].meaning}" if code in CODES else ""
                yield f"  {count:,} {code}{meaning}"
                places = [fault for fault in found if fault.code == code]
                shown = places if every else places[:PLACES_SHOWN]
                yield from (f"    {fault}" for fault in shown)
                if count > len(shown):
                    yield f"    and {count - len(shown):,} more"

    def to_json(self) -> dict[str, Any]:
        """`counts` by code, of all; `findings`, of those kept."""
        kept = [finding_json(fault) for fault in self._kept]
        return {"counts": dict(self.counts.most_common()), "findings": kept}


def finding_json(fault: Fault) -> dict[str, Any]:
    """One finding in strict JSON types; a line of 0 means the whole file."""
    return {
        "path": fault.place.path,
        "line": fault.place.line,
        "code": fault.code,
        "severity": severity(fault),
        "message": fault.message,
        "hint": fault.hint,
        "fatal": fault.fatal,
    }
