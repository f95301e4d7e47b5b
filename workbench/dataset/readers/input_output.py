"""Pairs in a text file that a person can read and write:

    # INPUT
    Write a loop over the users.

    # OUTPUT
    for user in users { ... }

`# Input` or `## input:` will do as well, so long as a file keeps to one spelling.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from workbench.dataset.reader_options import PLAIN, ReaderOptions
from workbench.dataset.readers.blocks import Style, names_in, read_pairs
from workbench.dataset.rows import Fault, Row

FORMAT = "input-output"
INPUT, OUTPUT = "INPUT", "OUTPUT"
_HEADER = re.compile(r"#{1,6}[ \t]*(INPUT|OUTPUT)[ \t]*:?[ \t]*()", re.IGNORECASE)
STYLE = Style(INPUT, OUTPUT, "# {}", _HEADER)


def sniff(head: str, path: Path) -> str:
    """Why the file is of this format, `""` when it is not."""
    return f"blocks headed '# {INPUT}' and '# {OUTPUT}'" if INPUT in names_in(head, STYLE) else ""


def read(path: Path, options: ReaderOptions = PLAIN) -> Iterator[Row | Fault]:
    """The pairs and faults of one file."""
    return read_pairs(path, STYLE)
