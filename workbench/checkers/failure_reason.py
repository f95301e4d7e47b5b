"""Why a checker refuses an answer, out of what it wrote: one line for a person.

A compiler says it first. A program that ends by an exception says it last (Python), or behind the
line of the source that threw it (Node): which of the two it was is seen by how it begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from workbench.core.text import one_line

LONGEST = 300
_PYTHON = ("Traceback (most", 'File "')
_NODE = re.compile(r"(?P<far>node:|/|[A-Za-z]:\\)?\S+:\d+")  # the file and line that threw
_THROWN = re.compile(r"(?:Uncaught )?(\w*(?:Error|Exception))\b:?\s*(.*)")


def reason_in(text: str) -> str:
    """The line of `text` that says why, made visible and not too long; `""` for blank text."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return ""
    said = lines[0]
    if said.startswith(_PYTHON):
        said = lines[-1]
    elif match := _NODE.fullmatch(said):
        message = list(_thrown(lines))[:2]
        place = [] if message and match["far"] else [said]  # of the answer, not of the checker
        said = ": ".join([*place, *message])
    return one_line(said, LONGEST)


def _thrown(lines: list[str]) -> Iterator[str]:
    """The lines of the message of Node's uncaught error, its name first unless it says nothing."""
    found = ((n, match) for n, line in enumerate(lines) if (match := _THROWN.fullmatch(line)))
    at, match = next(found, (len(lines), None))
    if match and match[1] != "Error":
        yield match[1]
    if match and match[2]:
        yield match[2]
    for line in lines[at + 1 :]:
        if line.startswith("at "):
            return
        yield line
