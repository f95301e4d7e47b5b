"""What is in a data set, for `workbench data PATH`: figures, duplicates, contradictions, faults.

The same facts as plain text for a person and as a dictionary for JSON. Text from the data passes
through `text.visible`, so it can be written to any terminal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.dataset.lint import lint
from workbench.dataset.prepare import dedupe, find_leaks
from workbench.dataset.read import Reading
from workbench.dataset.rows import Fault, Row
from workbench.text import one_line

PAIRS_SHOWN = 5
FAULTS_SHOWN = 20
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
            f"{self.shortest} shortest, {self.median} median, {self.p95} at 95 %, "
            f"{self.longest} longest, {self.total} in all"
        )


@dataclass(frozen=True)
class Summary:
    """All that is told about a data set."""

    path: str
    format: str
    why: str
    rows: int
    kinds: dict[str, int]
    categories: dict[str, int]
    trained_turns: int
    prompt_chars: Lengths | None
    answer_chars: Lengths | None
    text_chars: Lengths | None
    tokens: Lengths | None
    duplicates: list[tuple[str, str]]
    leaks: list[tuple[str, str]]
    faults: list[Fault] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether training could take the data as they are."""
        return self.rows > 0 and not any(fault.fatal for fault in self.faults)

    def to_json(self) -> dict[str, Any]:
        """Everything, in strict JSON types."""
        names = ("prompt_chars", "answer_chars", "text_chars", "tokens")
        value: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("path", "format", "why", "rows", "kinds", "categories", "trained_turns")
        }
        value["usable"] = self.usable
        for name in names:
            lengths = getattr(self, name)
            value[name] = None if lengths is None else vars(lengths)
        value["duplicates"] = [list(pair) for pair in self.duplicates]
        value["leaks"] = [list(pair) for pair in self.leaks]
        value["faults"] = [_fault_json(fault) for fault in self.faults]
        return value

    def lines(self) -> list[str]:
        """The summary for a person; long lists are shortened and say so."""
        why = f" ({self.why})" if self.why else ""
        lines = [f"{one_line(self.path, 200)}: {self.format or 'no format'}{why}"]
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.kinds.items())
        lines.append(f"rows          {self.rows}{f' ({kinds})' if len(self.kinds) > 1 else ''}")
        if self.trained_turns > self.rows:
            lines.append(f"answers       {self.trained_turns}")
        lines += _categories(self.categories)
        for name, title in _LENGTH_TITLES:
            lengths = getattr(self, name)
            lines += [f"{title:<14}{lengths}"] if lengths else []
        lines += _pairs("duplicates", "{} repeats {}", self.duplicates)
        lines += _pairs("leaks", "{} is held out and trained on at {}", self.leaks)
        return lines + _faults(self.faults)


_LENGTH_TITLES = (
    ("prompt_chars", "prompt, chars"),
    ("answer_chars", "answer, chars"),
    ("text_chars", "text, chars"),
    ("tokens", "row, tokens"),
)


def summarise(
    reading: Reading,
    path: str = "",
    *,
    count_tokens: Callable[[Row], int] | None = None,
    held_out: Sequence[Row] = (),
) -> Summary:
    """The facts about what was read; `count_tokens` and `held_out` add their lines."""
    rows = reading.rows
    chats = [row for row in rows if row.kind == "chat"]
    _, repeated = dedupe(rows, "exact")
    leaks = find_leaks(rows, held_out)
    return Summary(
        path=path,
        format=reading.format,
        why=reading.why,
        rows=len(rows),
        kinds=dict(Counter(row.kind for row in rows)),
        categories=dict(Counter(row.category for row in rows if row.category).most_common()),
        trained_turns=sum(m.role == "assistant" and m.train for r in chats for m in r.messages),
        prompt_chars=Lengths.of(sum(len(m.content) for m in r.prompt_messages()) for r in chats),
        answer_chars=Lengths.of(len(row.expected) for row in chats if row.expected),
        text_chars=Lengths.of(len(row.text) for row in rows if row.kind == "text"),
        tokens=Lengths.of(count_tokens(row) for row in rows) if count_tokens else None,
        duplicates=[(str(later.place), str(first.place)) for later, first in repeated],
        leaks=[(str(held.place), str(seen.place)) for seen, held in leaks],
        faults=[*reading.faults, *lint(rows)],
    )


def _categories(categories: dict[str, int]) -> list[str]:
    if not categories:
        return []
    shown = [f"{one_line(n, 40)} {c}" for n, c in list(categories.items())[:CATEGORIES_SHOWN]]
    more = len(categories) - len(shown)
    return ["categories    " + ", ".join(shown) + (f" and {more} more" if more else "")]


def _pairs(title: str, form: str, pairs: list[tuple[str, str]]) -> list[str]:
    lines = [f"{title:<14}{len(pairs)}"]
    lines += ["  " + one_line(form.format(*pair), 400) for pair in pairs[:PAIRS_SHOWN]]
    more = len(pairs) - PAIRS_SHOWN
    return lines + ([f"  and {more} more"] if more > 0 else [])


def _faults(faults: list[Fault]) -> list[str]:
    fatal = [fault for fault in faults if fault.fatal]
    notes = [fault for fault in faults if not fault.fatal]
    lines = []
    for title, found in (("faults", fatal), ("notes", notes)):
        lines.append(f"{title:<14}{len(found)}")
        lines += [f"  {fault}" for fault in found[:FAULTS_SHOWN]]
        more = len(found) - FAULTS_SHOWN
        lines += [f"  and {more} more"] if more > 0 else []
    return lines


def _fault_json(fault: Fault) -> dict[str, Any]:
    return {
        "path": fault.place.path,
        "line": fault.place.line,
        "code": fault.code,
        "message": fault.message,
        "hint": fault.hint,
        "fatal": fault.fatal,
    }
