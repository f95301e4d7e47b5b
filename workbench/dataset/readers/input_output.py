"""Pairs in a text file that a person can read and write:

    # INPUT
    Write a loop over the users.

    # OUTPUT
    for user in users { ... }

Empty lines around a text do not count. The first headers of a file fix how they are spelt in it
(`# Input` or `## input:` will do): a line spelt otherwise, such as the comment `# output` in an
answer, is text, and is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workbench.dataset.readers.lines import Line, read_lines
from workbench.dataset.rows import ASSISTANT, USER, Fault, Message, Place, Row

FORMAT = "input-output"
INPUT, OUTPUT = "INPUT", "OUTPUT"
_HEADER = re.compile(r"#{1,6}[ \t]*(INPUT|OUTPUT)[ \t]*:?[ \t]*", re.IGNORECASE)


def sniff(head: str, path: Path) -> str:
    """Why the file is of this format, `""` when it is not."""
    found = {match[1].upper() for match in map(_HEADER.fullmatch, head.splitlines()) if match}
    return f"blocks headed '# {INPUT}' and '# {OUTPUT}'" if INPUT in found else ""


def read(path: Path) -> Iterator[Row | Fault]:
    """The pairs and faults of one file."""
    return _pairs(path, _blocks(path))


@dataclass(frozen=True, slots=True)
class _Block:
    """What stands under one header; kind `""` is what stands before the first."""

    kind: str
    line: int
    text: str
    whole: bool  # False where a line of it could not be read


def _blocks(path: Path) -> Iterator[_Block | Fault]:
    spelling: dict[str, str] = {}
    kind, start, whole = "", 0, True
    lines: list[Line] = []
    for line in read_lines(path):
        if isinstance(line, Fault):
            yield line
            whole = whole and not line.fatal
            continue
        header, written = _header(line.text), line.text.strip()
        if header and spelling.setdefault(header, written) != written:
            yield _near_header(path, line.number, written, spelling[header])
        elif header:
            yield _block(kind, start, lines, whole)
            kind, start, whole, lines = header, line.number, True, []
            continue
        lines.append(line)
    yield _block(kind, start, lines, whole)


def _pairs(path: Path, blocks: Iterator[_Block | Fault]) -> Iterator[Row | Fault]:
    waiting: _Block | None = None  # the INPUT whose OUTPUT is yet to come
    for block in blocks:
        if isinstance(block, Fault):
            yield block
            continue
        yield from _empty(path, block)
        if block.kind == OUTPUT:
            yield from _pair(path, waiting, block)
            waiting = None
        elif block.kind == INPUT:
            yield from _unanswered(path, waiting)
            waiting = block
    yield from _unanswered(path, waiting)


def _pair(path: Path, prompt: _Block | None, answer: _Block) -> Iterator[Row | Fault]:
    if prompt is None:
        hint = f"put '# {INPUT}' and the prompt before it"
        message = f"{OUTPUT} without {INPUT}"
        yield Fault(Place(str(path), answer.line), "no-input", message, hint)
    elif prompt.text and answer.text:
        messages = (Message(USER, prompt.text), Message(ASSISTANT, answer.text))
        yield Row(Place(str(path), prompt.line), messages)


def _unanswered(path: Path, prompt: _Block | None) -> Iterator[Fault]:
    if prompt:
        hint = f"put '# {OUTPUT}' and the answer after it"
        message = f"{INPUT} without {OUTPUT}"
        yield Fault(Place(str(path), prompt.line), "no-output", message, hint)


def _empty(path: Path, block: _Block) -> Iterator[Fault]:
    """The fault of text where there should be none, or of none where there should be some."""
    if block.kind and not block.text and block.whole:
        hint = "write the text or remove the pair"
        yield Fault(Place(str(path), block.line), "empty", f"empty {block.kind}", hint)
    elif not block.kind and block.text:
        hint = f"head each prompt with '# {INPUT}'"
        yield Fault(Place(str(path), block.line), "stray", "text before the first block", hint)


def _block(kind: str, start: int, lines: list[Line], whole: bool) -> _Block:
    """The block without the empty lines around it; indentation of its first line is kept."""
    while lines and not lines[-1].text.strip():
        lines.pop()
    first = next((index for index, line in enumerate(lines) if line.text.strip()), 0)
    text = "\n".join(line.text for line in lines[first:]).rstrip()
    return _Block(kind, start or (lines[first].number if lines else 1), text, whole)


def _near_header(path: Path, number: int, written: str, usual: str) -> Fault:
    hint = f"the headers of this file are spelt '{usual}'"
    message = f"'{written}' is taken as text"
    return Fault(Place(str(path), number), "near-header", message, hint, fatal=False)


def _header(text: str) -> str:
    if not text.startswith("#"):
        return ""
    match = _HEADER.fullmatch(text)
    return match[1].upper() if match else ""
