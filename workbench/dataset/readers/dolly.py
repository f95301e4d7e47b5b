"""Dolly: records with instruction, context (may be empty), response and category.

    {"instruction": "Who wrote it?", "context": "...", "response": "...", "category": "closed_qa"}

The prompt is the instruction, then, after an empty line, the context where there is one.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from workbench.dataset.reader_options import ReaderOptions
from workbench.dataset.readers.fields import exchange, text_field
from workbench.dataset.rows import Place, Row

FORMAT = "dolly"
KEYS = ("instruction", "context", "response", "system")


def fits(keys: Collection[str]) -> str:
    """Which keys make a record one of this format, `""` when it is none."""
    return "'instruction' and 'response'" if {"instruction", "response"} <= set(keys) else ""


def row(place: Place, value: dict[str, Any], options: ReaderOptions) -> Row:
    """The row of one record. Raises Refused."""
    prompt, more = text_field(value, "instruction"), text_field(value, "context", optional=True)
    return exchange(place, value, (prompt, more), text_field(value, "response"))
