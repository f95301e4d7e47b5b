"""Prompt and completion: a record has one of each.

    {"prompt": "...", "completion": "...", "category": "loops", "must_contain": ["for"]}

`category` and `must_contain` (what a good answer holds) may be left out. A row without a completion
is a question: fine for evaluation, and refused where answers are needed.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from workbench.dataset.reader_options import ReaderOptions
from workbench.dataset.readers.fields import exchange, text_field
from workbench.dataset.rows import Place, Row

FORMAT = "prompt-completion"
KEYS = ("prompt", "completion", "system")


def fits(keys: Collection[str]) -> str:
    """Which keys make a record one of this format, `""` when it is none."""
    if "prompt" not in keys:
        return ""
    return "'prompt' and 'completion'" if "completion" in keys else "'prompt'"


def row(place: Place, value: dict[str, Any], options: ReaderOptions) -> Row:
    """The row of one record. Raises Refused."""
    prompt = text_field(value, "prompt")
    if value.get("completion") is None:
        return exchange(place, value, (prompt,), None)
    return exchange(place, value, (prompt,), text_field(value, "completion"))
