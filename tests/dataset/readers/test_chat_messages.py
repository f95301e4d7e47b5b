"""Conversations with tools, reasoning and content in parts: read, kept, handed to the template."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.dataset.duplicates import dedupe
from workbench.dataset.rows import Message, Place, Row
from workbench.dataset.sources import ReadResult, read_source
from workbench.tokenization.chat_template import ChatTemplate

ASK = {"role": "user", "content": "Is it warm in Bern?"}
CALL = {
    "role": "assistant",
    "content": None,
    "reasoning_content": "I need the weather.",
    "tool_calls": [
        {
            "id": "c1",
            "type": "function",
            "function": {"name": "weather", "arguments": '{"city": "Bern", "days": 1}'},
        }
    ],
}
RESULT = {"role": "tool", "tool_call_id": "c1", "name": "weather", "content": "21 degrees"}
ANSWER = {"role": "assistant", "content": "Yes, 21 degrees."}
TOOL = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
PLAIN = (Message("user", "a"), Message("assistant", "b"))


def read(path: Path, *rows: dict[str, Any]) -> ReadResult:
    path.write_text("\n".join(map(json.dumps, rows)))
    return read_source(path)


def the_row(path: Path, **row: Any) -> Row:
    reading = read(path, row)
    assert not reading.faults, reading.faults
    return reading.rows[0]


def test_a_conversation_with_a_tool(tmp_path: Path) -> None:
    row = the_row(tmp_path / "a.jsonl", messages=[ASK, CALL, RESULT, ANSWER], tools=[TOOL])
    call = {
        "type": "function",
        "id": "c1",
        "function": {"name": "weather", "arguments": {"city": "Bern", "days": 1}},
    }
    assert row.messages[1] == Message(
        "assistant", "", reasoning="I need the weather.", tool_calls=(call,)
    )
    assert row.messages[2] == Message("tool", "21 degrees", tool_call_id="c1", name="weather")
    assert row.tools == ({"type": "function", "function": TOOL},)
    assert Row.from_json(json.loads(json.dumps(row.to_json()))) == row


def test_a_row_may_end_with_a_call_and_tools_may_be_a_string_of_json(tmp_path: Path) -> None:
    row = the_row(tmp_path / "a.jsonl", messages=[ASK, CALL], tools=json.dumps([TOOL]))
    assert row.messages[-1].tool_calls and row.tools[0]["function"] == TOOL


def test_the_template_sees_calls_reasoning_and_tool_answers(tmp_path: Path) -> None:
    row = the_row(tmp_path / "a.jsonl", messages=[ASK, CALL, RESULT, ANSWER])
    template = ChatTemplate(
        "{% for m in messages %}{{ m.role }}:{{ m.reasoning_content or '' }}:{{ m.thinking or '' }}"
        "{% for c in m.tool_calls or [] %}{{ c.function.name }}({{ c.function.arguments.city }})"
        "{% endfor %}{{ m.content }}{{ m.tool_call_id or '' }}\n{% endfor %}"
    )
    thought = "I need the weather."
    assert template.render(row.messages).splitlines() == [
        "user::Is it warm in Bern?",
        f"assistant:{thought}:{thought}weather(Bern)",
        "tool::21 degreesc1",
        "assistant::Yes, 21 degrees.",
    ]


def test_text_parts_are_joined(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "Is it "}, {"text": "warm?"}, " Really?"]
    row = the_row(tmp_path / "a.jsonl", messages=[{"role": "user", "content": parts}, ANSWER])
    assert row.messages[0].content == "Is it warm? Really?"


def test_each_name_of_reasoning_is_read(tmp_path: Path) -> None:
    for key in ("reasoning_content", "thinking", "reasoning"):
        row = the_row(tmp_path / "a.jsonl", messages=[ASK, {**ANSWER, key: "hm"}])
        assert row.messages[1].reasoning == "hm", key


def test_what_is_only_called_or_thought_makes_rows_differ() -> None:
    question = Message("user", "a")
    call = {"type": "function", "function": {"name": "f", "arguments": {}}}
    answers = [
        Message("assistant", "b"),
        Message("assistant", "b", reasoning="hm"),
        Message("assistant", "b", tool_calls=(call,)),
        Message("assistant", "b", reasoning="hm", tool_calls=(call,)),
    ]
    rows = [Row(Place("a", n), (question, answer)) for n, answer in enumerate(answers)]
    again = [replace(row, place=Place("b", 1)) for row in rows]
    assert dedupe([*rows, *again], "exact")[0] == rows


def test_facts_of_a_row_are_kept(tmp_path: Path) -> None:
    facts = {"category": "a b", "difficulty": 3, "tags": ["x", "y"], "must_contain": "z"}
    row = the_row(tmp_path / "a.jsonl", messages=[ASK, ANSWER], **facts)
    assert (row.category, row.difficulty, row.tags) == ("a b", "3", ("x", "y"))
    assert Row.from_json(json.loads(json.dumps(row.to_json()))) == row


def test_labels_survive_json() -> None:
    row = Row(Place("a", 1), PLAIN, labels=(("generation", "dwc"), ("generation", "bbj-gui")))
    assert Row.from_json(json.loads(json.dumps(row.to_json()))) == row
