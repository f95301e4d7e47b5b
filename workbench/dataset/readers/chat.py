"""Chat rows: one JSON object a line with `messages`, each a role and its content.

    {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}

A message of the assistant with `"train": false` (or `"weight": 0`) is context and not learnt. The
order of roles is checked, because a template that meets another order writes something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from workbench.dataset.readers.fields import (
    category_field,
    read_objects,
    sniff_keys,
    words_field,
)
from workbench.dataset.readers.strict_json import Refused, a_type
from workbench.dataset.rows import ASSISTANT, ROLES, SYSTEM, TOOL, USER, Fault, Message, Place, Row
from workbench.text import did_you_mean, one_line

FORMAT = "chat"
KEYS = ("messages",)
MESSAGE_KEYS = ("role", "content", "train", "weight")
AFTER = {SYSTEM: (USER,), USER: (ASSISTANT,), ASSISTANT: (USER, TOOL), TOOL: (ASSISTANT, TOOL)}
_ROLE_NAMES = {"human": USER, "gpt": ASSISTANT, "bot": ASSISTANT, "model": ASSISTANT}


def sniff(head: str, path: Path) -> str:
    """Why the file is of this format, `""` when it is not."""
    return "JSON rows with 'messages'" if sniff_keys(head, lambda k: "messages" in k) else ""


def read(path: Path) -> Iterator[Row | Fault]:
    """The rows and faults of one file."""
    return read_objects(path, KEYS, _row)


def _row(place: Place, value: dict[str, Any]) -> Row:
    if "messages" not in value:
        hint = "that is the sharegpt format; rename the keys" if "conversations" in value else ""
        raise Refused("missing-key", "key 'messages' is missing", hint)
    found = value["messages"]
    if not isinstance(found, list):
        raise Refused("wrong-type", f"'messages' is {a_type(found)}, not a list")
    if not found:
        raise Refused("empty", "'messages' is empty", "write the conversation or remove the row")
    messages = tuple(_message(number, entry) for number, entry in enumerate(found, 1))
    check_order(messages)
    return Row(
        place,
        messages,
        category=category_field(value),
        must_contain=words_field(value, "must_contain"),
    )


def check_order(messages: tuple[Message, ...]) -> None:
    """Refuse an order of roles that no template writes."""
    roles = [message.role for message in messages]
    if roles[0] in (ASSISTANT, TOOL):
        raise Refused("role-order", f"message 1 has role '{roles[0]}'", "begin with system or user")
    for number, (role, after) in enumerate(zip(roles, roles[1:], strict=False), 2):
        if after not in AFTER[role]:
            what = f"message {number} has role '{after}' after '{role}'"
            raise Refused("role-order", what, "expected " + " or ".join(AFTER[role]))


def _message(number: int, value: Any) -> Message:
    where = f"message {number}"
    if not isinstance(value, dict):
        raise Refused("wrong-type", f"{where} is {a_type(value)}, not an object")
    for key, entry in value.items():
        if key not in MESSAGE_KEYS and entry is not None:
            what = f"{where} has the key '{one_line(key, 40)}', which is not read"
            raise Refused("unknown-key", what, did_you_mean(key, MESSAGE_KEYS))
    role, content = _role(where, value), _content(where, value)
    return Message(role, content, _train(where, role, value))


def _role(where: str, value: Mapping[str, Any]) -> str:
    if "role" not in value:
        raise Refused("missing-key", f"{where} has no role", "use " + _names(ROLES))
    role = value["role"]
    if not isinstance(role, str):
        raise Refused("wrong-type", f"role of {where} is {a_type(role)}, not a string")
    if role not in ROLES:
        meant = _ROLE_NAMES.get(role, "")
        hint = f"did you mean '{meant}'?" if meant else "use " + _names(ROLES)
        raise Refused("role", f"{where} has role '{one_line(role, 40)}'", hint)
    return role


def _content(where: str, value: Mapping[str, Any]) -> str:
    if "content" not in value:
        raise Refused("missing-key", f"{where} has no content")
    content = value["content"]
    if not isinstance(content, str):
        raise Refused("wrong-type", f"content of {where} is {a_type(content)}, not a string")
    if not content.strip() and value.get("role") != SYSTEM:
        raise Refused("empty", f"content of {where} is empty", "write the text or remove the row")
    return content


def _train(where: str, role: str, value: Mapping[str, Any]) -> bool:
    train, weight = value.get("train"), value.get("weight")
    if train is not None and not isinstance(train, bool):
        raise Refused("wrong-type", f"'train' of {where} is {a_type(train)}, not true or false")
    if weight is not None and (isinstance(weight, bool) or weight not in (0, 1)):
        raise Refused("wrong-type", f"'weight' of {where} is not 0 or 1")
    if train and role != ASSISTANT:
        hint = "only the assistant's messages are learnt"
        raise Refused("train", f"{where} has role '{role}' and 'train': true", hint)
    if train is not None and weight is not None and train != bool(weight):
        raise Refused("train", f"'train' and 'weight' of {where} contradict each other", "keep one")
    return train if train is not None else weight != 0


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(names[:-1]) + " or " + names[-1]
