"""Chat rows: a record has `messages`, each a role and its content.

    {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}

A message of the assistant with `"train": false` (or `"weight": 0`) is context and not trained. The
order of roles is checked, because a template that meets another order writes something else.
Beside `messages` a row may offer `tools`; what else a message may hold stands in `readers.turns`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from workbench.core.text import did_you_mean, one_line
from workbench.dataset.reader_options import ReaderOptions
from workbench.dataset.readers.chat_messages import TURN_KEYS, check_order, tools_of, turn
from workbench.dataset.readers.fields import row_facts
from workbench.dataset.readers.strict_json import Refused, a_type, parse_json
from workbench.dataset.rows import ASSISTANT, ROLES, SYSTEM, TOOL, USER, Message, Place, Row

FORMAT = "chat"
KEYS = ("messages", "tools")
MESSAGE_KEYS = ("role", "content", *TURN_KEYS)
_KNOWN = {role: role for role in ROLES}  # one string for all rows: told apart without a look
_ROLE_NAMES = {
    "human": USER,
    "gpt": ASSISTANT,
    "bot": ASSISTANT,
    "model": ASSISTANT,
    "developer": SYSTEM,
    "function": TOOL,
    "observation": TOOL,
}


def fits(keys: Collection[str]) -> str:
    """Which keys make a record one of this format, `""` when it is none."""
    return "'messages'" if "messages" in keys else ""


def row(place: Place, value: dict[str, Any], options: ReaderOptions) -> Row:
    """The row of one record. Raises Refused."""
    turns = turns_at(value, "messages")
    messages = tuple([_plain(turn) or _any_message(n, turn) for n, turn in enumerate(turns, 1)])
    check_order(messages)
    return Row(place, messages, tools=tools_of(value), **row_facts(value))


def turns_at(value: Mapping[str, Any], key: str) -> list[Any]:
    """The list of turns at `key`, or in a string of JSON there, not empty. Raises Refused."""
    if key not in value:
        raise Refused("missing-key", f"key '{key}' is missing", _other_format(value))
    found = value[key]
    if isinstance(found, str) and found.startswith("["):  # as tables hold it
        found = parse_json(found)
    if not isinstance(found, list):
        raise Refused("wrong-type", f"'{key}' is {a_type(found)}, not a list")
    if not found:
        raise Refused("empty", f"'{key}' is empty", "add the conversation or remove the row")
    return found


def known_keys(where: str, value: Any, keys: tuple[str, ...]) -> Mapping[str, Any]:
    """`value`, an object with no key but `keys` or with null there. Raises Refused."""
    if not isinstance(value, dict):
        raise Refused("wrong-type", f"{where} is {a_type(value)}, not an object")
    for key, entry in value.items():
        if key not in keys and entry is not None:
            what = f"{where} has the unknown key '{one_line(key, 40)}'"
            raise Refused("unknown-key", what, did_you_mean(key, keys))
    return value


def _plain(value: Any) -> Message | None:
    """The message of a role and a text, as nearly all are; None where it needs a closer look."""
    if type(value) is not dict or len(value) != 2:
        return None
    role, content = value.get("role"), value.get("content")
    if type(role) is str and type(content) is str and content and not content.isspace():
        known = _KNOWN.get(role)
        return Message(known, content) if known else None
    return None


def _any_message(number: int, value: Any) -> Message:
    where = f"message {number}"
    value = known_keys(where, value, MESSAGE_KEYS)
    role = _role(where, value)
    if "content" not in value and not value.get("tool_calls"):
        raise Refused("missing-key", f"{where} has no content")
    return turn(where, role, value.get("content"), value)


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


def _other_format(value: Mapping[str, Any]) -> str:
    return "this looks like a sharegpt row" if "conversations" in value else ""


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(names[:-1]) + " or " + names[-1]
