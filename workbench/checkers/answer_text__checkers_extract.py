"""The part of an answer that a checker is to judge.

Fences are those of CommonMark (section 4.5): three or more backticks or tildes, indented by at most
three spaces; closed by at least as many of the same; an open one reaches to the end.
"""

from __future__ import annotations

import re
from typing import Literal

Extract = Literal["all", "code-block", "code-block-or-all"]
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")


def extract(answer: str, how: Extract | str) -> str:
    """The whole answer, or its first code block; `""` where `code-block` finds none."""
    if how == "all":
        return answer
    found = first_code_block(answer)
    if found is None:
        return answer if how == "code-block-or-all" else ""
    return found


def first_code_block(answer: str) -> str | None:
    """What stands in the first fenced block, without the fences; None where there is none."""
    lines = answer.splitlines(keepends=True)
    for number, line in enumerate(lines):
        opening = _FENCE.fullmatch(line.rstrip("\r\n"))
        if opening and not ("`" in opening[2] and opening[1][0] == "`"):
            indent = len(line) - len(line.lstrip(" "))
            return "".join(_inside(lines[number + 1 :], opening[1], indent))
    return None


def _inside(lines: list[str], fence: str, indent: int) -> list[str]:
    found = []
    for line in lines:
        closing = _FENCE.fullmatch(line.rstrip("\r\n"))
        if closing and closing[1].startswith(fence) and not closing[2].strip():
            break
        own = len(line) - len(line.lstrip(" "))
        found.append(line[min(indent, own) :])
    return found
