"""Markdown taken apart at its `## ` headings, with the fenced code blocks of each section.

A heading inside a code block is code. Nothing else of Markdown matters here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from workbench.dataset.readers.lines import Line

_HEADING = re.compile(r"##[ \t]+(.*?)[ \t]*#*[ \t]*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*([^`]*)")


@dataclass(frozen=True)
class Code:
    """A fenced code block: the word behind its fence, and the lines between."""

    language: str
    text: str

    def fenced(self) -> str:
        """The block as Markdown, in a fence that the code does not hold."""
        longest = max((len(run) for run in re.findall(r"`{3,}", self.text)), default=2)
        fence = "`" * max(3, longest + 1)
        return f"{fence}{self.language}\n{self.text}\n{fence}"


@dataclass(frozen=True)
class Section:
    """What stands under a heading; the name is `""` for what stands before the first."""

    name: str
    line: int
    text: str
    codes: tuple[Code, ...]


class OpenFence(Exception):
    """A code block that does not end; it begins on `line`."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def sections(lines: list[Line]) -> list[Section]:
    """The sections in order, those without text too. Raises OpenFence."""
    found: list[Section] = []
    name, start = "", lines[0].number if lines else 1
    inside: list[str] = []
    codes: list[Code] = []
    fence: tuple[str, str, int, int] | None = None  # its marks, language, line, index in `inside`
    for line in lines:
        marks = _FENCE.fullmatch(line.text)
        if fence and marks and marks[1].startswith(fence[0]) and not marks[2].strip():
            codes.append(Code(fence[1], "\n".join(inside[fence[3] :]).strip("\n")))
            fence = None
        elif not fence and marks:
            fence = (marks[1], marks[2].strip(), line.number, len(inside) + 1)
        elif not fence and (heading := _HEADING.fullmatch(line.text)):
            found.append(_section(name, start, inside, codes))
            name, start, inside, codes = heading[1], line.number, [], []
            continue
        inside.append(line.text)
    if fence:
        raise OpenFence(fence[2])
    return [*found, _section(name, start, inside, codes)]


def _section(name: str, line: int, inside: list[str], codes: list[Code]) -> Section:
    return Section(name, line, "\n".join(inside).strip(), tuple(codes))
