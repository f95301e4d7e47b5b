"""Prompt and completion: one JSON object a line.

    {"prompt": "...", "completion": "...", "category": "loops", "must_contain": ["for"]}

`category` and `must_contain` (what a good answer holds) may be left out. A row without a completion
is a question: fine for evaluation, and refused where answers are needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.dataset.readers.fields import (
    read_objects,
    row_facts,
    sniff_keys,
    text_field,
)
from workbench.dataset.rows import ASSISTANT, USER, Fault, Message, Place, Row

FORMAT = "prompt-completion"
KEYS = ("prompt", "completion")


def sniff(head: str, path: Path) -> str:
    """Why the file is of this format, `""` when it is not."""
    return "JSON rows with 'prompt'" if sniff_keys(head, lambda keys: "prompt" in keys) else ""


def read(path: Path) -> Iterator[Row | Fault]:
    """The rows and faults of one file."""
    return read_objects(path, KEYS, _row)


def _row(place: Place, value: dict[str, Any]) -> Row:
    messages = [Message(USER, text_field(value, "prompt"))]
    if value.get("completion") is not None:
        messages.append(Message(ASSISTANT, text_field(value, "completion")))
    return Row(
        place,
        tuple(messages),
        **row_facts(value),
    )
