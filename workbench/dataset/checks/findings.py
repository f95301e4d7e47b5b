"""Findings in a dataset: their codes, and a collection that counts, keeps and filters them.

A code has a severity and a meaning, for filters, SARIF and docs. `error`: training refuses the
data. `warning`: it would train, but hardly as intended. `note`: worth knowing. A fatal fault is an
error whatever its code says.

Every finding is counted; at most ten thousand per code are kept, so that a broken dataset of a
million rows does not fill the memory. The number that was not kept is reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from workbench.core.errors import UserError
from workbench.core.text import did_you_mean, quantity
from workbench.dataset.rows import Fault

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Code:
    """What a code stands for; `fixable` where `--fix` mends it without a guess."""

    severity: Severity
    meaning: str
    fixable: bool = False


CODES: dict[str, Code] = {
    # The file as a whole
    "missing": Code("error", "the file does not exist"),
    "unreadable": Code("error", "the file cannot be opened or read"),
    "changed": Code("error", "the file changed after it was opened"),
    "not-a-file": Code("error", "a folder, pipe or device where a file is expected"),
    "empty-folder": Code("error", "the folder contains no files"),
    "format": Code("error", "the file is in no supported format, or not in the one given"),
    "skipped": Code("note", "files in a folder that do not match a format"),
    "too-large": Code("error", "a file larger than the limit for its kind"),
    "too-many": Code("error", "reading stopped after 1,000 errors in one file"),
    # Bytes and characters
    "not-utf8": Code("error", "bytes that are not UTF-8", fixable=True),
    "nul": Code("error", "a NUL character", fixable=True),
    "bom": Code("note", "the file starts with a byte order mark", fixable=True),
    "bom-inside": Code(
        "error", "a byte order mark inside the file, from joining files", fixable=True
    ),
    "crlf": Code("note", "Windows line endings", fixable=True),
    "white-space": Code("note", "whitespace or empty lines between JSON rows", fixable=True),
    "line-too-long": Code("error", "a line longer than 16 MiB"),
    "surrogate": Code("error", "a lone surrogate, which is not a character"),
    # JSON
    "broken-json": Code("error", "invalid JSON"),
    "not-an-object": Code("error", "a row that is not a JSON object"),
    "duplicate-key": Code("error", "a key that appears twice in one object"),
    "not-a-number": Code("error", "NaN or Infinity, which JSON does not allow"),
    "number": Code("error", "a number with too many digits"),
    "too-deep": Code("error", "nesting deeper than any format needs"),
    # Tables
    "broken-csv": Code("error", "a table row that cannot be parsed"),
    "fields": Code("error", "a row with more or fewer fields than the header"),
    # Markdown with front matter
    "no-front-matter": Code("error", "a Markdown example without front matter"),
    "front-matter": Code("error", "front matter that is not strict YAML"),
    "schema": Code("error", "front matter that violates its JSON Schema, or an invalid schema"),
    "type": Code("error", "an unknown example type"),
    "missing-section": Code("error", "a section required by this example type is missing"),
    "unused-section": Code("note", "a section that is not used"),
    "open-code": Code("error", "a code block that is never closed"),
    "too-long": Code("error", "one example longer than the limit"),
    "broken-file": Code("error", "a Parquet or Arrow file that cannot be parsed"),
    "library": Code("error", "the library that reads this data is not installed"),
    # Fields of a row
    "missing-key": Code("error", "a field required by the format is missing"),
    "unknown-key": Code("error", "an unknown field in a message"),
    "unused-keys": Code("note", "row fields that are not used"),
    "wrong-type": Code("error", "a field with the wrong type"),
    "empty": Code("error", "an empty file, text or list"),
    "two-texts": Code("error", "the same content under two keys"),
    "part": Code("error", "a message part that is not text"),
    "train": Code("error", "contradictory 'train' or 'weight' marks"),
    "reasoning": Code("error", "reasoning in the wrong place or given twice"),
    "tool-calls": Code("error", "inconsistent tool calls"),
    "difficulty": Code("error", "a difficulty that is neither 1 to 6 nor a known word"),
    "placeholder": Code("error", "a placeholder that the source does not define"),
    # Folders
    "name": Code("error", "a name in a topic tree that cannot be a file name"),
    "missing-topic": Code("warning", "a file listed in the topic tree is missing"),
    "strange-topic": Code("warning", "a file that the topic tree does not list"),
    # Roles and turns
    "role": Code("error", "an unknown role"),
    "role-order": Code("error", "roles in an order that no template supports"),
    "no-answer": Code("error", "a row that ends without a response"),
    "no-input": Code("error", "an OUTPUT without an INPUT"),
    "no-output": Code("error", "an INPUT without an OUTPUT"),
    "stray": Code("error", "text outside the blocks of its format"),
    "near-header": Code("note", "a line that almost matches a header of its format"),
    # What the rows say
    "nothing-trained": Code("warning", "the row has no trained tokens"),
    "echo": Code("warning", "the response repeats the prompt"),
    "special-token": Code("warning", "the text contains a special token's name"),
    "duplicate": Code("warning", "the row duplicates an earlier one", fixable=True),
    "near-duplicate": Code("warning", "the row is nearly identical to an earlier one"),
    "contradiction": Code("warning", "an earlier row has a different response"),
    "leak": Code("warning", "the row has the same opening prompt as a held-out row"),
    "near-leak": Code("warning", "the opening prompt is nearly that of a held-out row"),
    "length": Code("note", "the row is much longer or shorter than the others"),
    "refused": Code("warning", "the response fails the checker"),
    # Characters that deceive
    "look-alike": Code("warning", "a look-alike letter of another alphabet"),
    "zero-width": Code("warning", "an invisible character"),
    "bidi": Code("warning", "a control character that changes text direction"),
    "hard-space": Code("note", "a non-breaking space"),
    # With a preset: the template and the tokens
    "template": Code("error", "the chat template rejects the row"),
    "prefix": Code("error", "the template does not continue its generation prompt"),
    "rewrites": Code("note", "the template renders past turns differently"),
    "no-stop": Code("error", "no stop token ends the response"),
    "bos": Code("error", "the template adds BOS twice"),
    "header": Code("note", "the template adds text to the response"),
    "over-length": Code("warning", "the row exceeds the sequence length"),
}


def severity(fault: Fault) -> Severity:
    """How much a finding weighs."""
    if fault.fatal:
        return "error"
    found = CODES[fault.code].severity if fault.code in CODES else "warning"
    return "warning" if found == "error" else found


def check_codes(names: Iterable[str]) -> frozenset[str]:
    """The names as a set. Raises UserError for one that is no code."""
    for name in names:
        if name not in CODES:
            raise UserError(f"unknown finding code '{name}'", hint=did_you_mean(name, CODES))
    return frozenset(names)


def reference() -> str:
    """The table of codes for docs/data.md, in Markdown."""
    lines = ["| Code | Severity | Meaning |", "|---|---|---|"]
    for name, code in CODES.items():
        fix = " (fixed by `--fix`)" if code.fixable else ""
        lines.append(f"| `{name}` | {code.severity} | {code.meaning}{fix} |")
    return "\n".join(lines)


MAX_KEPT = 10_000
PLACES_SHOWN = 5
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class FindingFilter:
    """Which codes are told: `only` these, where any are named, and none of `ignored`."""

    only: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()

    def __contains__(self, code: str) -> bool:
        return code not in self.ignored and (not self.only or code in self.only)


@dataclass
class Findings:
    """Findings in the order they came. What is not wanted is left out of everything but `fatal`."""

    wanted: FindingFilter = field(default_factory=FindingFilter)
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


if __name__ == "__main__":
    print(reference())
