"""Pairs of a prompt and a response in a text file that a person can read and write.

    # INPUT                                  TASK: Write a component that lists the users.
    Write a loop over the users.             CODE:
                                             def UserList(attributes) { ... }
    # OUTPUT
    for user in users { ... }

`# Input` or `## input:` are accepted too; after `TASK:` the text begins behind the colon or on the
next line. Empty lines around a text do not count. The first headers of a file fix their spelling: a
line with a different one, such as the comment `# output` in a response, is text, and is reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workbench.dataset.reader_options import PLAIN, ReaderOptions
from workbench.dataset.readers.lines import Line, read_lines
from workbench.dataset.rows import ASSISTANT, USER, Fault, Message, Place, Row


@dataclass(frozen=True)
class PairStyle:
    """A format by its headers. `pattern` matches a whole line: (name)(text after it)."""

    FORMAT: str
    ask: str
    answer: str
    form: str
    pattern: re.Pattern[str]
    sniffed_by: frozenset[str]  # the headers that the beginning of a file must hold

    def header(self, name: str) -> str:
        """The header as a person writes it: `# INPUT`."""
        return self.form.format(name)

    def found(self, text: str) -> tuple[str, str, str] | None:
        """(name, spelling, text after it) of a header line."""
        match = self.pattern.fullmatch(text)
        return match and (match[1].upper(), text[: match.start(2)].strip(), match[2])

    def sniff(self, head: str, path: Path) -> str:
        """Why the file is of this format, `""` when it is not."""
        matches = map(self.pattern.fullmatch, head.splitlines())
        if not self.sniffed_by <= {match[1].upper() for match in matches if match}:
            return ""
        return f"blocks headed '{self.header(self.ask)}' and '{self.header(self.answer)}'"

    def read(self, path: Path, options: ReaderOptions = PLAIN) -> Iterator[Row | Fault]:
        """The pairs and faults of one file."""
        return _read_pairs(path, self)


INPUT_OUTPUT = PairStyle(
    "input-output",
    "INPUT",
    "OUTPUT",
    "# {}",
    re.compile(r"#{1,6}[ \t]*(INPUT|OUTPUT)[ \t]*:?[ \t]*()", re.IGNORECASE),
    frozenset({"INPUT"}),
)
TASK_CODE = PairStyle(
    "task-code",
    "TASK",
    "CODE",
    "{}:",
    re.compile(r"(TASK|CODE)[ \t]*:[ \t]*(.*)", re.IGNORECASE),
    frozenset({"TASK", "CODE"}),
)


def _read_pairs(path: Path, style: PairStyle) -> Iterator[Row | Fault]:
    waiting: _Block | None = None  # what is asked and yet to be answered
    for block in _blocks(path, style):
        if isinstance(block, Fault):
            yield block
            continue
        yield from _empty(path, style, block)
        if block.kind == style.answer:
            yield from _pair(path, style, waiting, block)
            waiting = None
        elif block.kind == style.ask:
            yield from _unanswered(path, style, waiting)
            waiting = block
    yield from _unanswered(path, style, waiting)


@dataclass(frozen=True, slots=True)
class _Block:
    """What stands under one header; kind `""` is what stands before the first."""

    kind: str
    line: int
    text: str
    whole: bool  # False where a line of it could not be read


def _blocks(path: Path, style: PairStyle) -> Iterator[_Block | Fault]:
    spelling: dict[str, str] = {}
    kind, start, whole = "", 0, True
    lines: list[Line] = []
    for line in read_lines(path):
        if isinstance(line, Fault):
            yield line
            whole = whole and not line.fatal
            continue
        if found := style.found(line.text):
            name, written, rest = found
            if spelling.setdefault(name, written) == written:
                yield _block(kind, start, lines, whole)
                kind, start, whole, lines = name, line.number, True, [Line(line.number, rest)]
                continue
            yield _near_header(path, line.number, written, spelling[name])
        lines.append(line)
    yield _block(kind, start, lines, whole)


def _pair(
    path: Path, style: PairStyle, prompt: _Block | None, answer: _Block
) -> Iterator[Row | Fault]:
    if prompt is None:
        hint = f"add '{style.header(style.ask)}' and the prompt before it"
        message = f"{style.answer} without {style.ask}"
        yield Fault(Place(str(path), answer.line), "no-input", message, hint)
    elif prompt.text and answer.text:
        messages = (Message(USER, prompt.text), Message(ASSISTANT, answer.text))
        yield Row(Place(str(path), prompt.line), messages)


def _unanswered(path: Path, style: PairStyle, prompt: _Block | None) -> Iterator[Fault]:
    if prompt:
        hint = f"add '{style.header(style.answer)}' and the response after it"
        message = f"{style.ask} without {style.answer}"
        yield Fault(Place(str(path), prompt.line), "no-output", message, hint)


def _empty(path: Path, style: PairStyle, block: _Block) -> Iterator[Fault]:
    """The fault of text where there should be none, or of none where there should be some."""
    if block.kind and not block.text and block.whole:
        hint = "write the text or remove the pair"
        yield Fault(Place(str(path), block.line), "empty", f"empty {block.kind}", hint)
    elif not block.kind and block.text:
        hint = f"start each prompt with '{style.header(style.ask)}'"
        yield Fault(Place(str(path), block.line), "stray", "text before the first block", hint)


def _block(kind: str, start: int, lines: list[Line], whole: bool) -> _Block:
    """The block without the empty lines around it; indentation of its first line is kept."""
    while lines and not lines[-1].text.strip():
        lines.pop()
    first = next((index for index, line in enumerate(lines) if line.text.strip()), 0)
    text = "\n".join(line.text for line in lines[first:]).rstrip()
    return _Block(kind, start or (lines[first].number if lines else 1), text, whole)


def _near_header(path: Path, number: int, written: str, usual: str) -> Fault:
    hint = f"headers in this file are written '{usual}'"
    message = f"'{written}' is treated as text"
    return Fault(Place(str(path), number), "near-header", message, hint, fatal=False)
