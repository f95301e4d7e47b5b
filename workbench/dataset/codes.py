"""Every finding has a code: how much it weighs and what it means, for filters, SARIF and docs.

`error`: training refuses the data. `warning`: it would train, but hardly what was meant.
`note`: worth knowing. A fault that is fatal is an error whatever its code says.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from workbench.dataset.rows import Fault
from workbench.errors import UserError
from workbench.text import did_you_mean

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Code:
    """What a code stands for; `fixable` where `--fix` mends it without a guess."""

    severity: Severity
    meaning: str
    fixable: bool = False


CODES: dict[str, Code] = {
    # The file as a whole
    "missing": Code("error", "there is no such file"),
    "unreadable": Code("error", "the file cannot be opened or read"),
    "changed": Code("error", "the file is no longer what it was when it was opened"),
    "not-a-file": Code("error", "a folder, pipe or device stands where a file is needed"),
    "empty-folder": Code("error", "the folder holds no files"),
    "format": Code("error", "the file is of no format that is read, or not of the one named"),
    "skipped": Code("note", "files of a folder that are not of the format, or of none"),
    "too-large": Code("error", "a file larger than any of its kind"),
    "too-many": Code("error", "the file was given up after a thousand faults"),
    # Bytes and characters
    "not-utf8": Code("error", "bytes that are not UTF-8", fixable=True),
    "nul": Code("error", "a NUL character", fixable=True),
    "bom": Code("note", "a byte order mark begins the file", fixable=True),
    "bom-inside": Code("error", "a byte order mark in the middle: files were joined", fixable=True),
    "crlf": Code("note", "lines end as on Windows", fixable=True),
    "white-space": Code("note", "white space or empty lines between JSON rows", fixable=True),
    "line-too-long": Code("error", "a line longer than 16 MiB"),
    "surrogate": Code("error", "half of a surrogate pair, which is no character"),
    # JSON
    "broken-json": Code("error", "text that is no JSON"),
    "not-an-object": Code("error", "a row that is no JSON object"),
    "duplicate-key": Code("error", "a key that stands twice in one object"),
    "not-a-number": Code("error", "NaN or Infinity, which JSON does not have"),
    "number": Code("error", "a number of too many digits"),
    "too-deep": Code("error", "nesting deeper than any format has"),
    # Tables
    "broken-csv": Code("error", "a row of a table that cannot be taken apart"),
    "fields": Code("error", "a row with more or fewer fields than the table's head"),
    # Markdown with front matter
    "no-front-matter": Code("error", "a Markdown example without front matter"),
    "front-matter": Code("error", "front matter that is no strict YAML"),
    "schema": Code("error", "front matter that its JSON Schema refuses, or a schema at fault"),
    "type": Code("error", "a type of example that does not exist"),
    "missing-section": Code("error", "a section that this type of example needs is not there"),
    "unused-section": Code("note", "a section that nothing reads"),
    "open-code": Code("error", "a code block that is never closed"),
    "too-long": Code("error", "one example of a length that no format has"),
    "broken-file": Code("error", "a Parquet or Arrow file that cannot be taken apart"),
    "library": Code("error", "a library that reads such data is not installed"),
    # Fields of a row
    "missing-key": Code("error", "a field that the format needs is not there"),
    "unknown-key": Code("error", "a field of a message that nothing reads"),
    "unused-keys": Code("note", "fields of rows that nothing reads"),
    "wrong-type": Code("error", "a field of another type than the format has"),
    "empty": Code("error", "a file, text or list with nothing in it"),
    "two-texts": Code("error", "a document under two keys"),
    "part": Code("error", "a part of a message that is no text"),
    "train": Code("error", "marks of what is learnt that make no sense"),
    "reasoning": Code("error", "reasoning in the wrong place, or twice"),
    "tool-calls": Code("error", "calls of tools that do not fit together"),
    "difficulty": Code("error", "a difficulty that is neither 1 to 6 nor a known word"),
    "placeholder": Code("error", "a placeholder that the source does not fill"),
    # Folders
    "name": Code("error", "a name in a tree of topics that no file can have"),
    "missing-topic": Code("warning", "a file that the tree of topics names is not there"),
    "strange-topic": Code("warning", "a file in a tree of topics that its structure lacks"),
    # Roles and turns
    "role": Code("error", "a role that does not exist"),
    "role-order": Code("error", "an order of roles that no template writes"),
    "no-answer": Code("error", "a row that ends without an answer"),
    "no-input": Code("error", "an OUTPUT without its INPUT"),
    "no-output": Code("error", "an INPUT without its OUTPUT"),
    "stray": Code("error", "text outside of the blocks of its format"),
    "near-header": Code("note", "a line that is nearly a header of its format"),
    # What the rows say
    "nothing-trained": Code("warning", "no token of the row is learnt"),
    "echo": Code("warning", "the answer repeats the prompt"),
    "special-token": Code("warning", "the text holds the name of a control token"),
    "duplicate": Code("warning", "the row repeats an earlier one, white space apart", fixable=True),
    "near-duplicate": Code("warning", "the row says nearly what an earlier one says"),
    "contradiction": Code("warning", "an earlier row answers the same prompt otherwise"),
    "leak": Code("warning", "the row begins as one that is held out for evaluation"),
    "near-leak": Code("warning", "the row says nearly what a held-out one says"),
    "length": Code("note", "the row is far longer or shorter than the others"),
    "refused": Code("warning", "the checker refuses the answer"),
    # Characters that deceive
    "look-alike": Code("warning", "a letter of another alphabet in a Latin word"),
    "zero-width": Code("warning", "a character that cannot be seen"),
    "bidi": Code("warning", "a control that turns the direction of writing"),
    "hard-space": Code("note", "a no-break space"),
    # With a preset: the template and the tokens
    "template": Code("error", "the chat template refuses the row"),
    "prefix": Code("error", "the template does not go on from its generation prompt"),
    "rewrites": Code("note", "the template writes earlier turns otherwise than later ones"),
    "no-stop": Code("error", "no stop token ends the answer"),
    "bos": Code("error", "the template writes BOS twice"),
    "header": Code("note", "the template writes more than the answer into the turn"),
    "over-length": Code("warning", "the row has more tokens than the sequence length takes"),
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
            raise UserError(f"no finding has the code '{name}'", hint=did_you_mean(name, CODES))
    return frozenset(names)


def reference() -> str:
    """The table of codes for docs/data.md, in Markdown."""
    lines = ["| Code | Weight | What it means |", "|---|---|---|"]
    for name, code in CODES.items():
        fix = " (`--fix` mends it)" if code.fixable else ""
        lines.append(f"| `{name}` | {code.severity} | {code.meaning}{fix} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(reference())
