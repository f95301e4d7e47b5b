"""Alpaca: records with instruction, input (may be empty) and output.

    {"instruction": "Translate to German.", "input": "good morning", "output": "guten Morgen"}

The prompt is the instruction, then, after an empty line, the input where there is one.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from workbench.dataset.reader_options import ReaderOptions
from workbench.dataset.readers.fields import exchange, text_field
from workbench.dataset.rows import Place, Row

FORMAT = "alpaca"
KEYS = ("instruction", "input", "output", "system")


def fits(keys: Collection[str]) -> str:
    """Which keys make a record one of this format, `""` when it is none."""
    return "'instruction' and 'output'" if {"instruction", "output"} <= set(keys) else ""


def row(place: Place, value: dict[str, Any], options: ReaderOptions) -> Row:
    """The row of one record. Raises Refused."""
    prompt, more = text_field(value, "instruction"), text_field(value, "input", optional=True)
    return exchange(place, value, (prompt, more), text_field(value, "output"))
