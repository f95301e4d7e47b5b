"""Typed fields of a record: one that is missing, of a wrong type or empty is refused by name."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from workbench.core.text import one_line
from workbench.dataset.readers.strict_json import Refused, a_type
from workbench.dataset.rows import ASSISTANT, SYSTEM, USER, Message, Place, Row

COMMON_KEYS = ("category", "difficulty", "tags", "must_contain")
MAX_KEYS_TOLD = 8
# Every name that `[data.source.fields]` can give a field of the data.
FIELDS = (
    *COMMON_KEYS,
    *("messages", "conversations", "tools", "system"),
    *("prompt", "completion", "instruction", "input", "context", "output", "response"),
    *("question", "think", "topic", "text", "speaker", "party", "year"),
)


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
        raise Refused("empty", f"'{key}' is empty", "add the text or remove the row")
    return found


def words_field(value: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """The list of strings at `key`, or one string as a list of one; `()` where it is missing."""
    found = value.get(key)
    if found is None:
        return ()
    words = [found] * bool(found) if isinstance(found, str) else found
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise Refused("wrong-type", f"'{key}' is not a list of strings")
    if not all(words):
        raise Refused("empty", f"'{key}' contains an empty string", "remove it")
    return tuple(words)


def label_field(value: Mapping[str, Any], key: str) -> str:
    """The string or whole number at `key` on one line; `""` where it is missing or null."""
    found = value.get(key)
    if type(found) is int:
        return str(found)
    return " ".join(text_field(value, key, optional=True).split())


def row_facts(value: Mapping[str, Any]) -> dict[str, Any]:
    """What a row of any format may say of itself, as arguments of `Row`; without what it lacks."""
    facts: dict[str, Any] = {}
    if "category" in value:
        facts["category"] = " ".join(text_field(value, "category", optional=True).split())
    if "difficulty" in value:
        facts["difficulty"] = label_field(value, "difficulty")
    if "tags" in value:
        facts["tags"] = _tags(value["tags"], value)
    if "must_contain" in value:
        facts["must_contain"] = words_field(value, "must_contain")
    return facts


def exchange(
    place: Place,
    value: Mapping[str, Any],
    prompt: Sequence[str],
    answer: str | None,
    reasoning: str = "",
) -> Row:
    """One prompt, its parts an empty line apart, and one answer; `system` first where there is."""
    system = text_field(value, "system", optional=True)
    messages = [Message(SYSTEM, system)] if system.strip() else []
    messages.append(Message(USER, "\n\n".join(part for part in prompt if part.strip())))
    if answer is not None:
        messages.append(Message(ASSISTANT, answer, reasoning=reasoning))
    return Row(place, tuple(messages), **row_facts(value))


def named(keys: Collection[str]) -> str:
    """`'prompt' and 'completion'`."""
    quoted = [f"'{key}'" for key in keys]
    return ", ".join(quoted[:-1]) + " and " + quoted[-1] if len(quoted) > 1 else quoted[0]


def _tags(found: Any, value: Mapping[str, Any]) -> tuple[str, ...]:
    """A list of tags, or one string of them with commas between."""
    if isinstance(found, str):
        return tuple(filter(None, (tag.strip() for tag in found.split(","))))
    return words_field(value, "tags")


def head_keys(head: str) -> set[str]:
    """The keys of the first JSON object in `head`; none where it is no JSON of objects."""
    start = head.lstrip().removeprefix("[").lstrip()
    if not start.startswith("{"):
        return set()
    try:
        value, _ = json.JSONDecoder().raw_decode(start)
        return set(value)
    except (ValueError, RecursionError):  # cut short by the head's end, or broken: look by eye
        first_line = start if head.lstrip().startswith("[") else start.split("\n", 1)[0]
        return set(re.findall(r'"(\w+)"\s*:', first_line))


def _keys_hint(value: Mapping[str, Any]) -> str:
    keys = [one_line(key, 30) for key in list(value)[:MAX_KEYS_TOLD]]
    return "the row has " + ", ".join(keys) if keys else "the row has no keys"
