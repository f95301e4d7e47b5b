"""Calls of tools as the interfaces of servers write them, and answers that are calls."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workbench.dataset.rows import Message
from workbench.pipeline.evaluation.endpoint_messages import answer_text, ollama_turns, openai_turns


def call(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", **more, "function": {"name": name, "arguments": {"q": "ü"}}}


TALK = (
    Message("user", "both, please"),
    Message("assistant", "", tool_calls=(call("f"), call("g", id="own"))),
    Message("tool", "1"),
    Message("tool", "2", tool_call_id="own"),
    Message("assistant", "1 and 2"),
)


def test_openai_calls_have_ids_and_arguments_as_text() -> None:
    user, asked, first, second, said = openai_turns(TALK)
    assert user == {"role": "user", "content": "both, please"}
    assert [(one["id"], one["type"]) for one in asked["tool_calls"]] == [
        ("call_1", "function"),
        ("own", "function"),
    ]
    assert json.loads(asked["tool_calls"][0]["function"]["arguments"]) == {"q": "ü"}
    assert (first["tool_call_id"], second["tool_call_id"]) == ("call_1", "own")
    assert said == {"role": "assistant", "content": "1 and 2"}


def test_ollama_answers_name_their_tool() -> None:
    _, asked, first, second, _ = ollama_turns(TALK)
    assert asked["tool_calls"][0] == {"function": {"name": "f", "arguments": {"q": "ü"}}}
    assert "tool_name" not in first and second["tool_name"] == "g"


@pytest.mark.parametrize("arguments", ['{"q": 1}', {"q": 1}])
def test_a_call_that_is_the_answer_is_its_text(arguments: Any) -> None:
    made = {"id": "x", "function": {"name": "f", "arguments": arguments}}
    line = '{"name": "f", "arguments": {"q": 1}}'
    assert answer_text({"content": None, "tool_calls": [made]}) == line
    assert answer_text({"content": "So:", "tool_calls": [made]}) == f"So:\n{line}"
    assert answer_text({"content": "plain", "tool_calls": []}) == "plain"
    with pytest.raises(TypeError):
        answer_text({"content": None})
