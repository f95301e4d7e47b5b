"""The helper process that goes through a source for the rows that somebody wants to see.

It says `found`, the lines of a file (or of the spool) at which those rows stand, and how far it is.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from workbench.core.subprocesses import Message, MessageSender, run_task
from workbench.dataset.browse.record_library import SourceRequest
from workbench.dataset.duplicates import row_text
from workbench.dataset.rows import Place, Row


@dataclass(frozen=True)
class RowQuery:
    """What a row must have: `pattern` anywhere in its text, the category."""

    pattern: str = ""
    category: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def pattern_fault(pattern: str) -> str:
    """What is wrong with a regular expression, "" when nothing is."""
    try:
        re.compile(pattern)
    except re.error as error:
        return f"invalid regular expression: {error}"
    return ""


def search(request: Message, sender: MessageSender) -> None:
    """Go through the source; `spooled` says that lines count entries instead of the file's."""
    wanted = RowQuery(**request["wanted"])
    matches = _matcher(wanted)
    found: dict[str, list[int]] = {}
    entries = rows = 0
    place = Place(request["source"]["path"], 0)
    for entry in SourceRequest.from_json(request["source"]).entries():
        place = entry.place
        entries += isinstance(entry, Row) or entry.fatal
        if isinstance(entry, Row):
            rows += 1
            if matches(entry):
                line = entries if request["spooled"] else place.line
                found.setdefault(place.path, []).append(line)
        if sender.due():
            sender.send(found=found, path=place.path, line=place.line, rows=rows)
            found = {}
    sender.send(found=found, path=place.path, line=place.line, rows=rows)


def _matcher(wanted: RowQuery) -> Callable[[Row], bool]:
    pattern = re.compile(wanted.pattern, re.IGNORECASE)

    def matches(row: Row) -> bool:
        if wanted.category and row.category != wanted.category:
            return False
        return not wanted.pattern or bool(pattern.search(row_text(row)))

    return matches


if __name__ == "__main__":
    sys.exit(run_task(search))
