"""Alpaca: JSON objects with instruction, input (may be empty) and output; lines or one array.

    {"instruction": "Translate to German.", "input": "good morning", "output": "guten Morgen"}

The prompt is the instruction, then, after an empty line, the input where there is one.
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
from workbench.dataset.rows import ASSISTANT, SYSTEM, USER, Fault, Message, Place, Row

FORMAT = "alpaca"
KEYS = ("instruction", "input", "output", "system")


def sniff(head: str, path: Path) -> str:
    """Why the file is of this format, `""` when it is not."""
    found = sniff_keys(head, lambda keys: {"instruction", "output"} <= keys)
    return "JSON rows with 'instruction' and 'output'" if found else ""


def read(path: Path) -> Iterator[Row | Fault]:
    """The rows and faults of one file."""
    return read_objects(path, KEYS, _row)


def _row(place: Place, value: dict[str, Any]) -> Row:
    prompt, more = text_field(value, "instruction"), text_field(value, "input", optional=True)
    system = text_field(value, "system", optional=True)
    messages = (
        *([Message(SYSTEM, system)] if system.strip() else []),
        Message(USER, f"{prompt}\n\n{more}" if more.strip() else prompt),
        Message(ASSISTANT, text_field(value, "output")),
    )
    return Row(
        place,
        messages,
        **row_facts(value),
    )
