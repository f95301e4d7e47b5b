"""Typed fields of a JSON row, and what the readers of JSON formats have in common.

A field that is missing, of a wrong type or empty is refused by name; a key that the format does not
have is never dropped in silence: the reader tells it once a file, with a count.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from workbench.dataset.readers.strict_json import Refused, a_type, json_rows
from workbench.dataset.rows import Fault, Place, Row
from workbench.text import one_line

COMMON_KEYS = ("category", "difficulty", "tags", "must_contain")
MAX_KEYS_TOLD = 8


def text_field(value: Mapping[str, Any], key: str, *, optional: bool = False) -> str:
    """The string at `key`, not blank; `""` where it is optional and missing, null or blank."""
    found = value.get(key)
    if optional and found is None:
        return ""
    if key not in value:
        raise Refused("missing-key", f"key '{key}' is missing", _keys_hint(value))
    if not isinstance(found, str):
        raise Refused("wrong-type", f"'{key}' is {a_type(found)}, not a string")
    if not optional and not found.strip():
        raise Refused("empty", f"'{key}' is empty", "write the text or remove the row")
    return found


def words_field(value: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """The list of strings at `key`, or one string as a list of one; `()` where it is missing."""
    found = value.get(key)
    if found is None:
        return ()
    words = [found] if isinstance(found, str) else found
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise Refused("wrong-type", f"'{key}' is not a list of strings")
    if not all(words):
        raise Refused("empty", f"'{key}' holds an empty string", "remove it")
    return tuple(words)


def label_field(value: Mapping[str, Any], key: str) -> str:
    """The string or whole number at `key` on one line; `""` where it is missing or null."""
    found = value.get(key)
    if type(found) is int:
        return str(found)
    return " ".join(text_field(value, key, optional=True).split())


def row_facts(value: Mapping[str, Any]) -> dict[str, Any]:
    """What a row of any format may say of itself, as arguments of `Row`."""
    return {
        "category": " ".join(text_field(value, "category", optional=True).split()),
        "difficulty": label_field(value, "difficulty"),
        "tags": words_field(value, "tags"),
        "must_contain": words_field(value, "must_contain"),
    }


def read_objects(
    path: Path, keys: tuple[str, ...], to_row: Callable[[Place, dict[str, Any]], Row]
) -> Iterator[Row | Fault]:
    """Rows of a JSON file through `to_row`, which raises Refused; then a note on unused keys."""
    unused: dict[str, int] = {}
    first: Place | None = None
    for entry in json_rows(path):
        if isinstance(entry, Fault):
            yield entry
            continue
        place, value = entry
        strange = [key for key in value if key not in keys and key not in COMMON_KEYS]
        for key in strange:
            unused[key] = unused.get(key, 0) + 1
        first = first or (place if strange else None)
        try:
            yield to_row(place, value)
        except Refused as refused:
            yield refused.at(place)
    if first:
        yield _unused_note(first, unused)


def sniff_keys(head: str, wanted: Callable[[set[str]], bool]) -> bool:
    """Whether the first JSON object in `head` has keys that `wanted` accepts."""
    start = head.lstrip().removeprefix("[").lstrip()
    if not start.startswith("{"):
        return False
    try:
        value, _ = json.JSONDecoder().raw_decode(start)
        keys = set(value)
    except (ValueError, RecursionError):  # cut short by the head's end, or broken: look by eye
        first_line = start if head.lstrip().startswith("[") else start.split("\n", 1)[0]
        keys = set(re.findall(r'"(\w+)"\s*:', first_line))
    return wanted(keys)


def _unused_note(place: Place, unused: dict[str, int]) -> Fault:
    told = [f"'{one_line(key, 40)}' ({count})" for key, count in unused.items()][:MAX_KEYS_TOLD]
    more = f" and {len(unused) - len(told)} more" if len(unused) > len(told) else ""
    message = f"keys that are not used, with their rows: {', '.join(told)}{more}"
    return Fault(place, "unused-keys", message, fatal=False)


def _keys_hint(value: Mapping[str, Any]) -> str:
    keys = [one_line(key, 30) for key in list(value)[:MAX_KEYS_TOLD]]
    return "the row has " + ", ".join(keys) if keys else "the row has no keys"
