"""What a dataset contains, for `workbench data PATH`: numbers and findings.

A `DatasetProfiler` takes rows and faults as they are read and keeps about fifty bytes per row. Its
summary has the same content as text for a person and as a dictionary for JSON. Text from the data
passes through `text.visible`, so it can be written to any terminal.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from workbench.core.errors import MAX_SHOWN
from workbench.core.text import one_line
from workbench.dataset.checks.findings import FindingFilter, Findings
from workbench.dataset.checks.linter import USUAL_SPECIAL, Linter
from workbench.dataset.rows import ASSISTANT, Fault, Row

CATEGORIES_SHOWN = 12


@dataclass(frozen=True)
class Lengths:
    """Shortest, middle, 95 % and longest of some lengths, and their sum."""

    shortest: int
    median: int
    p95: int
    longest: int
    total: int

    @classmethod
    def of(cls, values: Iterable[int]) -> Lengths | None:
        """None when there are none."""
        found = sorted(values)
        if not found:
            return None
        last = len(found) - 1
        return cls(found[0], found[last // 2], found[last * 95 // 100], found[-1], sum(found))

    def __str__(self) -> str:
        return (
            f"min {self.shortest}, median {self.median}, 95th percentile {self.p95}, "
            f"max {self.longest}, total {self.total}"
        )


@dataclass(frozen=True)
class DatasetSummary:
    """All that is told about a data set. `notes` are lines of those who looked closer."""

    path: str
    format: str
    why: str
    rows: int
    kinds: dict[str, int]
    categories: dict[str, int]
    trained_turns: int
    lengths: dict[str, Lengths | None]
    findings: Findings
    notes: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether training could take the data as they are."""
        return self.rows > 0 and not self.findings.fatal

    def to_json(self) -> dict[str, Any]:
        """Everything, in strict JSON types."""
        names = ("path", "format", "why", "rows", "kinds", "categories", "trained_turns", "usable")
        value: dict[str, Any] = {name: getattr(self, name) for name in names}
        for name, lengths in self.lengths.items():
            value[name] = None if lengths is None else vars(lengths)
        return value | self.findings.to_json() | {"notes": list(self.notes)}

    def lines(self, every: bool = False) -> list[str]:
        """The summary for a person, errors as a number; `every` shortens no list of findings."""
        why = f" ({one_line(self.why, 200)})" if self.why else ""
        lines = [f"{one_line(self.path, 200)}: {self.format or 'unknown format'}{why}"]
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.kinds.items())
        lines.append(f"rows            {self.rows}{f' ({kinds})' if len(self.kinds) > 1 else ''}")
        if self.trained_turns > self.rows:
            lines.append(f"responses       {self.trained_turns}")
        lines += _categories(self.categories)
        for name, title in _LENGTH_TITLES.items():
            if found := self.lengths.get(name):
                lines.append(f"{title:<16}{found}")
        lines += [one_line(note, 400) for note in self.notes]
        lines.append(f"findings        {self.findings.told()}")
        return lines + list(self.findings.lines(every))

    def error_lines(self) -> list[str]:
        """`file:line: reason` of each error, the first twenty; the rest as a number."""
        errors = self.findings.of("error")
        lines = [str(fault) for fault in errors[:MAX_SHOWN]]
        more = self.findings.fatal - len(lines)
        return [*lines, f"and {more:,} more"] if errors and more > 0 else lines


_LENGTH_TITLES = {
    "prompt_chars": "prompt chars",
    "answer_chars": "response chars",
    "text_chars": "text chars",
    "tokens": "row tokens",
}


class DatasetProfiler:
    """Figures and findings of what is read, row by row."""

    def __init__(
        self,
        wanted: FindingFilter | None = None,
        special: Iterable[str] = USUAL_SPECIAL,
        held_out: Iterable[Row] = (),
    ) -> None:
        self.findings = Findings(wanted or FindingFilter())
        self.rows = 0
        self._linter = Linter(special, held_out)
        self._kinds: Counter[str] = Counter()
        self._categories: Counter[str] = Counter()
        self._trained_turns = 0
        self._prompt_chars, self._answer_chars, self._text_chars = (array("Q") for _ in range(3))

    def add(self, entry: Row | Fault) -> None:
        """Take the next row or fault of the reading."""
        if isinstance(entry, Fault):
            self.findings.add((entry,))
            return
        self.rows += 1
        self._kinds["chat" if entry.messages else "text"] += 1
        if entry.category:
            self._categories[entry.category] += 1
        self._measure(entry)
        if found := self._linter.look(entry):
            self.findings.add(found)

    def close(self) -> None:
        """All rows were added: find what only all of them show."""
        self.findings.add(self._linter.together())

    def summary(
        self, path: str, format: str, why: str, notes: Iterable[str] = ()
    ) -> DatasetSummary:
        """What is to be told."""
        lengths = {
            "prompt_chars": Lengths.of(self._prompt_chars),
            "answer_chars": Lengths.of(self._answer_chars),
            "text_chars": Lengths.of(self._text_chars),
        }
        return DatasetSummary(
            path=path,
            format=format,
            why=why,
            rows=self.rows,
            kinds=dict(self._kinds),
            categories=dict(self._categories.most_common()),
            trained_turns=self._trained_turns,
            lengths=lengths,
            findings=self.findings,
            notes=tuple(notes),
        )

    def _measure(self, row: Row) -> None:
        if not row.messages:
            self._text_chars.append(len(row.text))
            return
        prompt = answer = so_far = 0
        for message in row.messages:
            length = len(message.content)
            if message.role == ASSISTANT:
                prompt, answer = so_far, length
                self._trained_turns += message.train
            so_far += length
        self._prompt_chars.append(prompt if answer else so_far)
        if answer:
            self._answer_chars.append(answer)


def _categories(categories: dict[str, int]) -> list[str]:
    if not categories:
        return []
    shown = [f"{one_line(n, 40)} {c}" for n, c in list(categories.items())[:CATEGORIES_SHOWN]]
    more = len(categories) - len(shown)
    return ["categories      " + ", ".join(shown) + (f" and {more} more" if more else "")]
