"""Raw text: a file is a document; a line `<|endoftext|>` alone divides a file into several.

Another line does where the source names a `separator`. All UTF-8 text will do (.txt, .md, source
code). White space inside is kept as it is; empty lines at the beginning and end of a document are
not part of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from workbench.dataset.reader_options import PLAIN, ReaderOptions
from workbench.dataset.readers.lines import Line, read_lines
from workbench.dataset.rows import Fault, Place, Row

FORMAT = "text"
SEPARATOR = "<|endoftext|>"
MAX_LINE_BYTES = 1 << 30


def sniff(head: str, path: Path) -> str:
    """Why the file is of this format: it is what is left when no other fits."""
    return "plain text"


def read(path: Path, options: ReaderOptions = PLAIN) -> Iterator[Row | Fault]:
    """The documents and faults of one file."""
    separator = options.separator.strip() or SEPARATOR
    lines: list[Line] = []
    for line in read_lines(path, MAX_LINE_BYTES):
        if isinstance(line, Fault):
            yield line
        elif line.text.strip() == separator:
            yield from _document(path, lines)
            lines = []
        elif lines or line.text.strip():
            lines.append(line)
    yield from _document(path, lines)


def _document(path: Path, lines: list[Line]) -> Iterator[Row]:
    if lines:
        text = "\n".join(line.text for line in lines).rstrip()
        yield Row(Place(str(path), lines[0].number), text=text + "\n")
