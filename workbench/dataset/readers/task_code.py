"""Tasks and code in a text file that a person can read and write:

    TASK: Write a component that lists the names of users.
    CODE:
    def UserList(attributes) { ... }

Either text may begin behind the colon or on the next line, and go on over as many as it needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from workbench.dataset.reader_options import PLAIN, ReaderOptions
from workbench.dataset.readers.blocks import Style, names_in, read_pairs
from workbench.dataset.rows import Fault, Row

FORMAT = "task-code"
TASK, CODE = "TASK", "CODE"
STYLE = Style(TASK, CODE, "{}:", re.compile(r"(TASK|CODE)[ \t]*:[ \t]*(.*)", re.IGNORECASE))


def sniff(head: str, path: Path) -> str:
    """Why the file is of this format, `""` when it is not."""
    whole = {TASK, CODE} <= names_in(head, STYLE)
    return f"blocks headed '{TASK}:' and '{CODE}:'" if whole else ""


def read(path: Path, options: ReaderOptions = PLAIN) -> Iterator[Row | Fault]:
    """The pairs and faults of one file."""
    return read_pairs(path, STYLE)
