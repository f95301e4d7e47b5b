"""What the turns of a conversation are made of, whichever JSON keys name them.

Content may be a list of text parts; reasoning goes by three names; calls of tools are brought into
the one form that templates read: `{"type": "function", "function": {"name", "arguments"}}` with the
arguments as an object, although OpenAI's own files hold them as a string of JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.core.text import one_line
from workbench.dataset.readers.strict_json import Refused, a_type, parse_json
from workbench.dataset.rows import ASSISTANT, SYSTEM, TOOL, USER, Message

REASONING_KEYS = ("reasoning_content", "thinking", "reasoning")
TURN_KEYS = ("train", "weight", "tool_calls", "tool_call_id", "name", *REASONING_KEYS)
AFTER = {SYSTEM: (USER,), USER: (ASSISTANT,), ASSISTANT: (USER, TOOL), TOOL: (ASSISTANT, TOOL)}


def turn(where: str, role: str, content: Any, value: Mapping[str, Any]) -> Message:
    """The message of that role and content, with what else `value` says of it."""
    calls = tool_calls(where, role, value.get("tool_calls"))
    return Message(
        role,
        text_of(where, role, content, optional=bool(calls)),
        is_trained(where, role, value),
        _reasoning(where, role, value),
        calls,
        _answering(where, role, value),
        _string(where, value, "name"),
    )


def check_order(messages: Sequence[Message]) -> None:
    """Refuse an order of roles that no template writes, and an answer to a call never made."""
    expected: tuple[str, ...] = (SYSTEM, USER)
    for message in messages:
        role = message.role
        if role not in expected or message.tool_calls or message.tool_call_id:
            return _check_closely(messages)
        expected = AFTER[role]


def _check_closely(messages: Sequence[Message]) -> None:
    roles = [message.role for message in messages]
    if roles[0] in (ASSISTANT, TOOL):
        raise Refused("role-order", f"message 1 has role '{roles[0]}'", "start with system or user")
    for number, (role, after) in enumerate(zip(roles, roles[1:], strict=False), 2):
        if after not in AFTER[role]:
            what = f"message {number} has role '{after}' after '{role}'"
            raise Refused("role-order", what, "expected " + " or ".join(AFTER[role]))
    _check_calls(messages)


def text_of(where: str, role: str, content: Any, *, optional: bool = False) -> str:
    """The text of a string or of a list of text parts; blank only for system or where optional."""
    if optional and content is None:
        return ""
    if isinstance(content, list):
        content = "".join(_part(where, n, part) for n, part in enumerate(content, 1))
    if not isinstance(content, str):
        raise Refused("wrong-type", f"content of {where} is {a_type(content)}, not a string")
    if not (content.strip() or optional or role == SYSTEM):
        raise Refused("empty", f"content of {where} is empty", "add the text or remove the row")
    return content


def is_trained(where: str, role: str, value: Mapping[str, Any]) -> bool:
    """Whether `train` and `weight` let the turn be trained; without either it is."""
    train, weight = value.get("train"), value.get("weight")
    if train is not None and not isinstance(train, bool):
        raise Refused("wrong-type", f"'train' of {where} is {a_type(train)}, not true or false")
    if weight is not None and (isinstance(weight, bool) or weight not in (0, 1)):
        raise Refused("wrong-type", f"'weight' of {where} is not 0 or 1")
    if train and role != ASSISTANT:
        hint = "only assistant messages are trained"
        raise Refused("train", f"{where} has role '{role}' and 'train': true", hint)
    if train is not None and weight is not None and train != bool(weight):
        raise Refused("train", f"'train' and 'weight' of {where} contradict each other", "keep one")
    return train if train is not None else weight != 0


def tool_calls(where: str, role: str, found: Any) -> tuple[dict[str, Any], ...]:
    """The calls of a message in the form that templates read."""
    if found is None:
        return ()
    if not isinstance(found, list):
        raise Refused("wrong-type", f"'tool_calls' of {where} is {a_type(found)}, not a list")
    if found and role != ASSISTANT:
        what = f"{where} has role '{role}' and calls tools"
        raise Refused("tool-calls", what, "only the assistant calls tools")
    return tuple(tool_call(f"call {n} of {where}", call) for n, call in enumerate(found, 1))


def tool_call(where: str, value: Any) -> dict[str, Any]:
    """One call: `{"function": {"name", "arguments"}}`, or name and arguments alone."""
    function = value.get("function", value) if isinstance(value, dict) else value
    if not isinstance(function, dict):
        raise Refused("wrong-type", f"{where} is {a_type(function)}, not an object")
    name, arguments = function.get("name"), function.get("arguments", {})
    if not (isinstance(name, str) and name.strip()):
        raise Refused("missing-key", f"{where} names no function", "give it a name")
    if isinstance(arguments, str):
        arguments = _parsed(where, arguments)
    if not isinstance(arguments, dict):
        what = f"the arguments of {where} are {a_type(arguments)}, not an object"
        raise Refused("wrong-type", what)
    call: dict[str, Any] = {"type": "function"}
    if isinstance(value.get("id"), str):
        call["id"] = value["id"]
    return call | {"function": {"name": name, "arguments": arguments}}


def tools_of(value: Mapping[str, Any], key: str = "tools") -> tuple[dict[str, Any], ...]:
    """The tools that a row offers: a list of objects, or a string of JSON that is one."""
    found = value.get(key)
    if isinstance(found, str):
        found = _parsed(f"'{key}'", found) if found.strip() else None
    if found is None:
        return ()
    if not isinstance(found, list):
        raise Refused("wrong-type", f"'{key}' is {a_type(found)}, not a list")
    return tuple(_tool(f"tool {n}", tool) for n, tool in enumerate(found, 1))


def _tool(where: str, value: Any) -> dict[str, Any]:
    function = value.get("function", value) if isinstance(value, dict) else value
    if not isinstance(function, dict):
        raise Refused("wrong-type", f"{where} is {a_type(function)}, not an object")
    if not isinstance(function.get("name"), str):
        raise Refused("missing-key", f"{where} has no name", "give its function a name")
    return value if "function" in value else {"type": "function", "function": value}


def _part(where: str, number: int, part: Any) -> str:
    if isinstance(part, str):
        return part
    kind = part.get("type", "text") if isinstance(part, dict) else a_type(part)
    text = part.get("text") if isinstance(part, dict) else None
    if kind != "text" or not isinstance(text, str):
        what = f"part {number} of the content of {where} is not text"
        kind = f"a part of type '{one_line(str(kind), 40)}'" if isinstance(part, dict) else kind
        raise Refused("part", what, f"it is {kind}; only text is supported")
    return text


def _reasoning(where: str, role: str, value: Mapping[str, Any]) -> str:
    found = [key for key in REASONING_KEYS if value.get(key) not in (None, "")]
    if not found:
        return ""
    if len(found) > 1:
        what = f"{where} has both '{found[0]}' and '{found[1]}'"
        raise Refused("reasoning", what, "keep one")
    if role != ASSISTANT:
        hint = "only assistant messages may have reasoning"
        raise Refused("reasoning", f"{where} has role '{role}' and '{found[0]}'", hint)
    return _string(where, value, found[0])


def _answering(where: str, role: str, value: Mapping[str, Any]) -> str:
    found = _string(where, value, "tool_call_id")
    if found and role != TOOL:
        what = f"{where} has role '{role}' and 'tool_call_id'"
        raise Refused("tool-calls", what, "only a tool message may have one")
    return found


def _check_calls(messages: Sequence[Message]) -> None:
    made: set[str] = set()
    for number, message in enumerate(messages, 1):
        made.update(call["id"] for call in message.tool_calls if "id" in call)
        if message.tool_call_id and message.tool_call_id not in made:
            what = f"message {number} belongs to the call '{one_line(message.tool_call_id, 40)}'"
            raise Refused("tool-calls", f"{what}, which was never made", "check tool_call_id")


def _parsed(where: str, text: str) -> Any:
    try:
        return parse_json(text)
    except Refused as refused:
        raise Refused(refused.code, f"{where}: {refused.message}") from None


def _string(where: str, value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise Refused("wrong-type", f"'{key}' of {where} is {a_type(found)}, not a string")
    return found
