"""Values as TOML text: what a written-out preset, a reference and a message show.

Invariant: `tomllib.loads("v = " + toml_value(v))["v"] == v` for every value a preset can hold.
"""

from __future__ import annotations

import json
import tomllib
from typing import Any


def toml_value(value: Any) -> str:
    """`value` in TOML, on one line. Dates and other values no key takes are shown as they are."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, dict):
        pairs = (f"{_string(key)} = {toml_value(item)}" for key, item in value.items())
        return "{ " + ", ".join(pairs) + " }" if value else "{}"
    return str(value)


def parse_value(text: str) -> Any:
    """The value that TOML text stands for. Raises ValueError when it stands for none."""
    found = tomllib.loads(f"value = {text}")
    if list(found) != ["value"]:
        raise ValueError("more than one value")
    return found["value"]


def _string(text: str) -> str:
    """A basic string; JSON's escapes are TOML's too, except that TOML refuses a bare DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _number(value: float) -> str:
    """The shortest text that reads back as the same float; steps of 1 and more without a point."""
    return repr(value)
