"""ShareGPT rows: a record has `conversations`, each turn a `from` and its `value`.

    {"conversations": [{"from": "human", "value": "..."}, {"from": "gpt", "value": "..."}]}

`function_call` is a turn of the assistant whose value is JSON with a name and arguments;
`observation` (or `tool`) is what the tool said. A row may have `system` and `tools` beside them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from workbench.core.text import did_you_mean, one_line
from workbench.dataset.reader_options import ReaderOptions
from workbench.dataset.readers.chat import known_keys, turns_at
from workbench.dataset.readers.chat_messages import check_order, tools_of, turn
from workbench.dataset.readers.fields import row_facts, text_field
from workbench.dataset.readers.strict_json import Refused, a_type, parse_json
from workbench.dataset.rows import ASSISTANT, SYSTEM, TOOL, USER, Message, Place, Row

FORMAT = "sharegpt"
KEYS = ("conversations", "system", "tools")
CALL = "function_call"
TURN_KEYS = ("from", "value", "train", "weight")
ROLES = {
    "human": USER,
    "user": USER,
    "gpt": ASSISTANT,
    "assistant": ASSISTANT,
    "system": SYSTEM,
    "tool": TOOL,
    "observation": TOOL,
    CALL: ASSISTANT,
}


def fits(keys: Collection[str]) -> str:
    """Which keys make a record one of this format, `""` when it is none."""
    return "'conversations'" if "conversations" in keys else ""


def row(place: Place, value: dict[str, Any], options: ReaderOptions) -> Row:
    """The row of one record. Raises Refused."""
    turns = turns_at(value, "conversations")
    messages = [_message(f"turn {n}", entry) for n, entry in enumerate(turns, 1)]
    system = text_field(value, "system", optional=True)
    if system.strip():
        messages.insert(0, Message(SYSTEM, system))
    check_order(messages)
    return Row(place, tuple(messages), tools=tools_of(value), **row_facts(value))


def _message(where: str, value: Any) -> Message:
    value = known_keys(where, value, TURN_KEYS)
    role = _role(where, value)
    if "value" not in value:
        raise Refused("missing-key", f"{where} has no value")
    if value["from"] == CALL:
        return turn(where, role, None, {**value, "tool_calls": _calls(where, value["value"])})
    return turn(where, role, value["value"], value)


def _role(where: str, value: Mapping[str, Any]) -> str:
    if "from" not in value:
        raise Refused("missing-key", f"{where} has no 'from'", "add the speaker, such as human")
    name = value["from"]
    if not isinstance(name, str):
        raise Refused("wrong-type", f"'from' of {where} is {a_type(name)}, not a string")
    if name not in ROLES:
        what = f"{where} is from '{one_line(name, 40)}'"
        raise Refused("role", what, did_you_mean(name, ROLES))
    return ROLES[name]


def _calls(where: str, text: Any) -> list[Any]:
    """The calls that a turn's value holds: one object of JSON, or a list of them."""
    if not isinstance(text, str):
        raise Refused("wrong-type", f"the call of {where} is {a_type(text)}, not a string of JSON")
    try:
        found = parse_json(text)
    except Refused as refused:
        raise Refused(refused.code, f"the call of {where}: {refused.message}") from None
    return found if isinstance(found, list) else [found]
