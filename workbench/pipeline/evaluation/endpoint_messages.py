"""Turns as the interfaces of servers write them: calls of tools with their ids, answers as text.

OpenAI: https://platform.openai.com/docs/api-reference/chat/create (arguments are a string of JSON,
a call has an id and its answer names it). Ollama: https://docs.ollama.com/api/chat (arguments are
an object, an answer names the tool). A turn without tools is the same in both.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from workbench.dataset.rows import TOOL, Message


def openai_turns(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The turns; calls without an id get one, and answers in turn those of the last calls."""
    turns: list[dict[str, Any]] = []
    n_calls, unanswered = 0, list[str]()
    for message in messages:
        turn = _plain(message)
        if message.tool_calls:
            calls = []
            for call in message.tool_calls:
                n_calls += 1
                calls.append({"type": "function", "id": f"call_{n_calls}", **call})
            turn["tool_calls"] = [_with_text(call) for call in calls]
            unanswered = [call["id"] for call in calls]
        if message.role == TOOL:
            turn["tool_call_id"] = message.tool_call_id or (unanswered[0] if unanswered else "")
            unanswered = [one for one in unanswered if one != turn["tool_call_id"]]
        turns.append(turn)
    return turns


def ollama_turns(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The turns; an answer names the tool that was called, where it is known."""
    turns: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for message in messages:
        turn = _plain(message)
        if message.tool_calls:
            turn["tool_calls"] = [{"function": call["function"]} for call in message.tool_calls]
            names |= {
                call["id"]: call["function"]["name"] for call in message.tool_calls if "id" in call
            }
        if message.role == TOOL and (name := message.name or names.get(message.tool_call_id, "")):
            turn["tool_name"] = name
        turns.append(turn)
    return turns


def answer_text(message: dict[str, Any]) -> str:
    """What a server's answer says; calls of tools as a line of JSON each, behind the content.

    Raises TypeError or KeyError for anything else.
    """
    calls = message.get("tool_calls") or []
    content = message["content"] if not calls else message.get("content") or ""
    if not isinstance(content, str):
        raise TypeError("no text")
    lines = [_call_text(call["function"]) for call in calls]
    return "\n".join([*([content] if content else []), *lines]) if calls else content


def _plain(message: Message) -> dict[str, Any]:
    return {"role": message.role, "content": message.content}


def _with_text(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    arguments = json.dumps(function["arguments"], ensure_ascii=False)
    return {**call, "function": {**function, "arguments": arguments}}


def _call_text(function: dict[str, Any]) -> str:
    arguments = function.get("arguments") or {}
    if isinstance(arguments, str):
        arguments = json.loads(arguments)
    return json.dumps({"name": function["name"], "arguments": arguments}, ensure_ascii=False)
