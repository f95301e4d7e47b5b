"""Malformed files: each one line `file:line: reason`, at once, and nothing wrong is accepted."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.errors import UserError
from workbench.dataset.formats import FORMATS
from workbench.dataset.sources import read_source, require

USER = '{"role": "user", "content": "a"}'
ANSWER = '{"role": "assistant", "content": "b"}'
GOOD = f'{{"messages": [{USER}, {ANSWER}]}}\n'
MARKDOWN = "---\ntitle: Loop\ntype: completion\ntags: [a, b]\n---\n\n## Code\n\n```x\ny\n```\n"


def chat(*messages: str) -> str:
    return '{"messages": [' + ", ".join(messages) + "]}\n"


def pair(**keys: object) -> str:
    return json.dumps({"prompt": "a", "completion": "b"} | keys) + "\n"


# file name, contents, line of the fault (0: the whole file), words of the fault
CASES: dict[str, tuple[str, str | bytes, int, str]] = {
    "cut json": ("a.jsonl", GOOD + GOOD[:-10], 2, "invalid JSON at column"),
    "two objects on a line": ("a.jsonl", GOOD + GOOD.strip() + GOOD, 2, "extra data"),
    "single quotes": ("a.jsonl", "{'messages': []}\n", 1, "JSON"),
    "trailing comma": ("a.jsonl", GOOD + '{"messages": [],}\n', 2, "invalid JSON at column"),
    "pretty printed": ("a.jsonl", json.dumps(json.loads(GOOD), indent=1), 1, "spans several lines"),
    "utf-16 with mark": ("a.jsonl", GOOD.encode("utf-16"), 1, "UTF-16"),
    "utf-16 without mark": ("a.jsonl", GOOD.encode("utf-16-le"), 1, "UTF-16"),
    "utf-16 big": ("a.txt", GOOD.encode("utf-16-be"), 1, "UTF-16"),
    "utf-32": ("a.jsonl", GOOD.encode("utf-32-le"), 1, "UTF-32"),
    "latin-1": ("a.jsonl", (GOOD + GOOD.replace("b", "é")).encode("latin-1"), 2, "byte 0xe9 at"),
    "latin-1 text": ("a.txt", "plain\ncafé\n".encode("latin-1"), 2, "byte 0xe9 at byte 4"),
    "cut utf-8": ("a.txt", "größer".encode()[:3], 1, "not UTF-8"),
    "joined files": ("a.jsonl", GOOD.encode() + b"\xef\xbb\xbf" + GOOD.encode(), 2, "order mark"),
    "nul": ("a.txt", "plain\nte\0xt\n", 2, "NUL character at column 3"),
    "nul in json": ("a.jsonl", GOOD + GOOD.replace('"b"', '"\\u0000"'), 2, "NUL character"),
    "raw nul in json": ("a.jsonl", GOOD + GOOD.replace('"b"', '"\0"'), 2, "NUL character"),
    "lone surrogate": ("a.jsonl", GOOD + GOOD.replace('"b"', '"\\ud800"'), 2, "surrogate \\ud800"),
    "surrogate in a key": (
        "a.jsonl",
        GOOD.replace('"a"', '"a", "\\udc00": 1'),
        1,
        "surrogate \\udc00",
    ),
    "nan": ("a.jsonl", pair(n=1).replace("1", "NaN"), 1, "NaN is not JSON"),
    "infinity": ("a.jsonl", pair(n=1).replace("1", "-Infinity"), 1, "-Infinity is not JSON"),
    "many digits": ("a.jsonl", pair(n=1).replace("1", "1" * 5000), 1, "too many digits"),
    "duplicate key": ("a.jsonl", GOOD + '{"messages": [], "messages": []}', 2, "appears twice"),
    "duplicate role": ("a.jsonl", chat('{"role": "user", "role": "x"}'), 1, "'role' appears twice"),
    "deep": ("a.jsonl", GOOD + "[" * 100_000 + "]" * 100_000, 2, "nested"),
    "deep object": ("a.jsonl", '{"messages":' * 100_000, 1, "nested"),
    "deep array file": ("a.json", "[" * 100_000 + "]" * 100_000, 1, "no known format"),
    "deep in an array": ("a.json", "[" + GOOD + ",[" + "[" * 100_000, 2, "nested"),
    "deeper than sense": ("a.jsonl", pair(m=json.loads("[" * 80 + "]" * 80)), 1, "nested"),
    "list rows": ("a.jsonl", GOOD + '["a", "b"]\n', 2, "a row is a list"),
    "list file": ("a.jsonl", '["a", "b"]\n', 1, "no known format"),
    "string rows": ("a.jsonl", GOOD + '"hello"\n', 2, "a row is a string"),
    "number rows": ("a.jsonl", GOOD + "7\n", 2, "a row is a number"),
    "null rows": ("a.jsonl", GOOD + "null\n", 2, "a row is null"),
    "empty object": ("a.jsonl", GOOD + "{}\n", 2, "'messages' is missing"),
    "other keys": ("a.jsonl", '{"ask": "a", "tell": "b"}\n', 1, "no known format"),
    "sharegpt": ("a.jsonl", GOOD + '{"conversations": []}\n', 2, "sharegpt"),
    "messages is a string": ("a.jsonl", '{"messages": "hi"}\n', 1, "'messages' is a string"),
    "messages is null": ("a.jsonl", '{"messages": null}\n', 1, "'messages' is null"),
    "messages is an object": ("a.jsonl", '{"messages": {}}\n', 1, "'messages' is an object"),
    "messages is empty": ("a.jsonl", '{"messages": []}\n', 1, "'messages' is empty"),
    "message is a string": ("a.jsonl", chat('"hi"'), 1, "message 1 is a string"),
    "message is null": ("a.jsonl", chat(USER, "null"), 1, "message 2 is null"),
    "no role": ("a.jsonl", chat('{"content": "a"}'), 1, "message 1 has no role"),
    "null role": (
        "a.jsonl",
        chat('{"role": null, "content": "a"}'),
        1,
        "role of message 1 is null",
    ),
    "numeric role": ("a.jsonl", chat('{"role": 1, "content": "a"}'), 1, "message 1 is a number"),
    "role bot": (
        "a.jsonl",
        chat(USER, '{"role": "bot", "content": "b"}'),
        1,
        "message 2 has role 'bot' (did you mean 'assistant'?)",
    ),
    "role oracle": (
        "a.jsonl",
        chat(USER, '{"role": "oracle", "content": "b"}'),
        1,
        "message 2 has role 'oracle' (use system, user, assistant or tool)",
    ),
    "no content": ("a.jsonl", chat(USER, '{"role": "assistant"}'), 1, "message 2 has no content"),
    "null content": (
        "a.jsonl",
        chat(USER, '{"role": "assistant", "content": null}'),
        1,
        "content of message 2 is null, not a string",
    ),
    "list content": (
        "a.jsonl",
        chat('{"role": "user", "content": [{"type": "text"}]}', ANSWER),
        1,
        "part 1 of the content of message 1 is not text",
    ),
    "empty content": (
        "a.jsonl",
        chat(USER, '{"role": "assistant", "content": " "}'),
        1,
        "content of message 2 is empty",
    ),
    "image": (
        "a.jsonl",
        chat('{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}', ANSWER),
        1,
        "a part of type 'image_url'; only text is supported",
    ),
    "tool calls are a string": (
        "a.jsonl",
        chat(USER, ANSWER.replace("}", ', "tool_calls": "f()"}')),
        1,
        "'tool_calls' of message 2 is a string, not a list",
    ),
    "tool call is a string": (
        "a.jsonl",
        chat(USER, ANSWER.replace("}", ', "tool_calls": ["f()"]}')),
        1,
        "call 1 of message 2 is a string, not an object",
    ),
    "tool call without name": (
        "a.jsonl",
        chat(USER, ANSWER.replace("}", ', "tool_calls": [{"function": {"arguments": {}}}]}')),
        1,
        "call 1 of message 2 names no function",
    ),
    "tool call with broken arguments": (
        "a.jsonl",
        chat(
            USER,
            ANSWER.replace(
                "}", ', "tool_calls": [{"function": {"name": "f", "arguments": "{x"}}]}'
            ),
        ),
        1,
        "call 1 of message 2: invalid JSON",
    ),
    "tool call with a list of arguments": (
        "a.jsonl",
        chat(USER, ANSWER.replace("}", ', "tool_calls": [{"name": "f", "arguments": [1]}]}')),
        1,
        "the arguments of call 1 of message 2 are a list",
    ),
    "user calls a tool": (
        "a.jsonl",
        chat(USER.replace("}", ', "tool_calls": [{"name": "f"}]}'), ANSWER),
        1,
        "only the assistant calls tools",
    ),
    "answer to no call": (
        "a.jsonl",
        chat(USER, ANSWER, '{"role": "tool", "content": "x", "tool_call_id": "c1"}', ANSWER),
        1,
        "message 3 belongs to the call 'c1', which was never made",
    ),
    "tools are an object": (
        "a.jsonl",
        chat(USER, ANSWER).replace("]}", '], "tools": {}}'),
        1,
        "'tools' is an object, not a list",
    ),
    "tool without name": (
        "a.jsonl",
        chat(USER, ANSWER).replace("]}", '], "tools": [{"type": "function", "function": {}}]}'),
        1,
        "tool 1 has no name",
    ),
    "user thinks": (
        "a.jsonl",
        chat(USER.replace("}", ', "thinking": "hm"}'), ANSWER),
        1,
        "only assistant messages may have reasoning",
    ),
    "thought twice": (
        "a.jsonl",
        chat(USER, ANSWER.replace("}", ', "thinking": "hm", "reasoning": "ah"}')),
        1,
        "message 2 has both 'thinking' and 'reasoning' (keep one)",
    ),
    "mistyped key": (
        "a.jsonl",
        chat(USER, ANSWER.replace("content", "contents")),
        1,
        "did you mean 'content'?",
    ),
    "train is a string": (
        "a.jsonl",
        chat(USER, ANSWER.replace("}", ', "train": "no"}')),
        1,
        "'train' of message 2 is a string",
    ),
    "weight two": ("a.jsonl", chat(USER, ANSWER.replace("}", ', "weight": 2}')), 1, "not 0 or 1"),
    "user trained": (
        "a.jsonl",
        chat(USER.replace("}", ', "train": true}'), ANSWER),
        1,
        "only assistant messages are trained",
    ),
    "train against weight": (
        "a.jsonl",
        chat(USER, ANSWER.replace("}", ', "train": true, "weight": 0}')),
        1,
        "contradict",
    ),
    "assistant first": ("a.jsonl", chat(ANSWER, USER), 1, "message 1 has role 'assistant'"),
    "two users": ("a.jsonl", chat(USER, USER, ANSWER), 1, "role 'user' after 'user'"),
    "two answers": ("a.jsonl", chat(USER, ANSWER, ANSWER), 1, "role 'assistant' after 'assistant'"),
    "system later": (
        "a.jsonl",
        chat(USER, ANSWER, '{"role": "system", "content": "x"}'),
        1,
        "role 'system' after",
    ),
    "tool after user": (
        "a.jsonl",
        chat(USER, '{"role": "tool", "content": "x"}'),
        1,
        "role 'tool' after 'user'",
    ),
    "ends with user": ("a.jsonl", chat(USER, ANSWER, USER), 1, "ends with the role 'user'"),
    "category number": ("a.jsonl", pair(category=7), 1, "'category' is a number"),
    "must_contain number": ("a.jsonl", pair(must_contain=[1]), 1, "not a list of strings"),
    "must_contain empty": ("a.jsonl", pair(must_contain=[""]), 1, "empty string"),
    "prompt null": ("a.jsonl", pair() + pair(prompt=None), 2, "'prompt' is null"),
    "prompt list": ("a.jsonl", pair() + pair(prompt=["a"]), 2, "'prompt' is a list"),
    "prompt empty": ("a.jsonl", pair() + pair(prompt=""), 2, "'prompt' is empty"),
    "prompt missing": ("a.jsonl", pair() + '{"completion": "b"}\n', 2, "'prompt' is missing"),
    "completion number": ("a.jsonl", pair() + pair(completion=3), 2, "'completion' is a number"),
    "completion boolean": ("a.jsonl", pair(completion=True), 1, "'completion' is a boolean"),
    "completion empty": ("a.jsonl", pair() + pair(completion="\n"), 2, "'completion' is empty"),
    "completion missing": ("a.jsonl", '{"prompt": "a"}\n', 1, "ends with the role 'user'"),
    "alpaca without output": (
        "a.json",
        '[{"instruction": "a", "output": "b"},\n {"instruction": "a"}]',
        2,
        "'output' is missing (the row has instruction)",
    ),
    "alpaca input number": (
        "a.json",
        '[\n{"instruction": "a", "output": "b", "input": 1}\n]',
        2,
        "'input' is a number",
    ),
    "array cut": ("a.json", '[{"instruction": "a", "output": "b"},\n', 1, "invalid JSON"),
    "array without comma": (
        "a.json",
        '[{"instruction": "a", "output": "b"}\n{"instruction": "a", "output": "b"}]',
        2,
        "expecting ',' or ']'",
    ),
    "array and more": ("a.json", '[{"instruction": "a", "output": "b"}]\n[]', 2, "extra data"),
    "array with nan": ("a.json", '[{"instruction": "a", "output": NaN}]', 1, "NaN"),
    "array double key": (
        "a.json",
        '[\n{"instruction": "a", "output": "", "output": ""}]',
        2,
        "twice",
    ),
    "csv named jsonl": ("a.jsonl", "prompt,completion\na,b\n", 1, "not JSON"),
    "csv of other columns": (
        "a.csv",
        "a,b\n1,2\n",
        1,
        "CSV rows in no known format (the keys are 'a'",
    ),
    "csv with a field too few": (
        "a.csv",
        "prompt,completion\na,b\nc\n",
        3,
        "1 field, but the header has 2",
    ),
    "csv with a field too many": (
        "a.csv",
        "prompt,completion\na,b,c\n",
        2,
        "3 fields, but the header has 2",
    ),
    "csv with an open quote": ("a.csv", 'prompt,completion\na,b\n"c,d\n', 3, "unexpected end of"),
    "csv with a loose quote": ("a.csv", 'prompt,completion\n"a"x,b\n', 2, "invalid CSV"),
    "csv with a column twice": ("a.csv", "prompt,prompt\na,b\n", 1, "'prompt' appears twice"),
    "csv with an empty field": ("a.csv", "prompt,completion\na,\n", 2, "'completion' is empty"),
    "csv in latin-1": ("a.csv", "prompt,completion\né,b\n".encode("latin-1"), 2, "byte 0xe9"),
    "csv in latin-1 within quotes": (
        "a.csv",
        'prompt,completion\n"a\né\n",b\n'.encode("latin-1"),
        3,
        "byte 0xe9",
    ),
    "csv header in latin-1": ("a.csv", "prömpt,completion\na,b\n".encode("latin-1"), 1, "0xf6"),
    "csv without rows": ("a.csv", "prompt,completion\n", 1, "no prompt-completion rows"),
    "csv in utf-16": ("a.csv", "prompt,completion\na,b\n".encode("utf-16"), 1, "UTF-16"),
    "csv of two texts": ("a.csv", "content,body\na,b\n", 2, "'content' and 'body' could each be"),
    "xlsx": ("a.xlsx", b"PK\x03\x04", 1, ".xlsx files are not supported"),
    "gzip cut short": (
        "a.jsonl.gz",
        gzip.compress(GOOD.encode() * 99)[:-9],
        0,
        "the gzip data is truncated",
    ),
    "gzip broken": (
        "a.jsonl.gz",
        gzip.compress(GOOD.encode())[:12] + b"xxxx" * 9,
        0,
        "the gzip data is corrupt",
    ),
    "gzip of nothing": ("a.jsonl.gz", gzip.compress(b""), 1, "the file is empty"),
    "gzip of a fault": ("a.jsonl.gz", gzip.compress((GOOD + "{}\n").encode()), 2, "is missing"),
    "zstd broken": (
        "a.jsonl.zst",
        b"\x28\xb5\x2f\xfd" + b"\xff" * 99,
        0,
        "the zstd data is corrupt",
    ),
    "sharegpt of nobody": (
        "a.jsonl",
        '{"conversations": [{"value": "a"}]}\n',
        1,
        "turn 1 has no 'from'",
    ),
    "sharegpt from a bot": (
        "a.jsonl",
        '{"conversations": [{"from": "bot", "value": "a"}]}\n',
        1,
        "turn 1 is from 'bot'",
    ),
    "sharegpt without value": (
        "a.jsonl",
        '{"conversations": [{"from": "human"}]}\n',
        1,
        "turn 1 has no value",
    ),
    "sharegpt that begins with the answer": (
        "a.jsonl",
        '{"conversations": [{"from": "gpt", "value": "a"}]}\n',
        1,
        "message 1 has role 'assistant'",
    ),
    "sharegpt with a call that is no json": (
        "a.jsonl",
        '{"conversations": [{"from": "human", "value": "a"},'
        ' {"from": "function_call", "value": "f()"}]}\n',
        1,
        "the call of turn 2: invalid JSON",
    ),
    "dolly without response": (
        "a.jsonl",
        '{"instruction": "a", "response": "b"}\n{"instruction": "a"}\n',
        2,
        "'response' is missing",
    ),
    "document of a number": ("a.jsonl", '{"text": 7}\n', 1, "'text' is a number"),
    "document of nothing": ("a.jsonl", '{"text": "a"}\n{"text": " "}\n', 2, "'text' is empty"),
    "markdown without end": (
        "a.md",
        MARKDOWN.replace("\n---\n", "\n", 1),
        1,
        "the front matter is not closed",
    ),
    "markdown with broken yaml": ("a.md", MARKDOWN.replace("Loop", '"Loop'), 2, "invalid YAML"),
    "markdown with a key twice": ("a.md", MARKDOWN.replace("tags:", "type:"), 4, "appears twice"),
    "markdown with an alias": (
        "a.md",
        MARKDOWN.replace("[a, b]", "[&x a, *x]"),
        4,
        "invalid YAML: aliases are not allowed",
    ),
    "markdown with a python tag": (
        "a.md",
        MARKDOWN.replace("Loop", "!!python/object/apply:os.system [true]"),
        2,
        "invalid YAML: could not determine a constructor",
    ),
    "markdown with a date": ("a.md", MARKDOWN.replace("Loop", "!!timestamp 2024-01-01"), 2, "JSON"),
    "markdown that nests deep": ("a.md", MARKDOWN.replace("Loop", "[" * 9000), 2, "nested"),
    "markdown of another type": ("a.md", MARKDOWN.replace("[a, b]", "7"), 4, "tags: 7 is not of"),
    "markdown without title": ("a.md", MARKDOWN.replace("title:", "name:"), 1, "'title' is a req"),
    "markdown with an open code": ("a.md", MARKDOWN[:-4], 9, "the code block is not closed"),
    "markdown without code": ("a.md", MARKDOWN.replace("```", "~~"), 1, "no code block"),
    "markdown without explanation": (
        "a.md",
        MARKDOWN.replace("completion", "comprehension"),
        1,
        "no section 'Explanation'",
    ),
    "markdown with one code of two": (
        "a.md",
        MARKDOWN.replace("completion", "migration"),
        1,
        "only 1 code block, but 2 are needed",
    ),
    "task without code": ("a.txt", "TASK: a\nTASK: b\nCODE: c\n", 1, "TASK without CODE"),
    "code without task": ("a.txt", "CODE: a\nTASK: b\nCODE: c\n", 1, "CODE without TASK"),
    "empty code": ("a.txt", "TASK: a\nCODE:\n\nTASK: b\nCODE: c\n", 2, "empty CODE"),
    "html named jsonl": ("a.jsonl", "<html></html>\n", 1, "not JSON"),
    "empty jsonl": ("a.jsonl", "", 1, "the file is empty"),
    "empty txt": ("a.txt", "", 1, "the file is empty"),
    "white space only": ("a.txt", " \n\n\t\n", 1, "only whitespace"),
    "mark only": ("a.txt", b"\xef\xbb\xbf", 1, "empty"),
    "separators only": ("a.txt", "<|endoftext|>\n<|endoftext|>\n", 1, "no text rows"),
    "input without output": (
        "a.txt",
        "# INPUT\na\n\n# INPUT\nb\n# OUTPUT\nc\n",
        1,
        "without OUTPUT",
    ),
    "last input alone": ("a.txt", "# INPUT\na\n# OUTPUT\nb\n# INPUT\nc\n", 5, "without OUTPUT"),
    "output without input": ("a.txt", "# OUTPUT\na\n# INPUT\nb\n# OUTPUT\nc\n", 1, "without INPUT"),
    "two outputs": ("a.txt", "# INPUT\na\n# OUTPUT\nb\n# OUTPUT\nc\n", 5, "OUTPUT without INPUT"),
    "empty input": ("a.txt", "# INPUT\n\n# OUTPUT\nb\n", 1, "empty INPUT"),
    "empty output": (
        "a.txt",
        "# INPUT\na\n# OUTPUT\n\n\n# INPUT\nb\n# OUTPUT\nc\n",
        3,
        "empty OUTPUT",
    ),
    "text before": ("a.txt", "\nhello\n# INPUT\na\n# OUTPUT\nb\n", 2, "text before the first"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_malformed_file_is_one_line_with_its_place(name: str, tmp_path: Path) -> None:
    file, contents, line, words = CASES[name]
    path = tmp_path / file
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    with pytest.raises(UserError) as caught:
        require(read_source(path), str(path))
    said = str(caught.value)
    assert said.startswith(f"{path}:{line}: " if line else f"{path}: "), said
    assert words in said
    assert "\n" not in said


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 90


def test_a_long_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(GOOD + '{"messages": ["' + "x" * (50 << 20) + '"]}\n' + GOOD)
    reading = read_source(path)
    (fault,) = reading.faults
    assert str(fault) == f"{path}:2: the line is longer than 16.0 MiB (split the row)"
    assert [row.place.line for row in reading.rows] == [1, 3]


@pytest.mark.parametrize("kind", ["missing", "folder", "empty folder", "fifo", "device", "secret"])
def test_what_is_no_ordinary_file_is_one_line(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "thing"
    words = {
        "missing": "file not found",
        "folder": "the folder is empty",
        "empty folder": "the folder is empty",
        "fifo": "is a pipe",
        "device": "is not a regular file",
        "secret": "Permission denied",
    }
    if kind.endswith("folder"):
        path.mkdir()
        (path / ".hidden").write_text("x")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/null")
    elif kind == "secret":
        path.write_text("x")
        path.chmod(0)
        if os.access(path, os.R_OK):
            pytest.skip("this user may read everything")
    with pytest.raises(UserError) as caught:
        require(read_source(path), str(path))
    assert words[kind] in str(caught.value) and "\n" not in str(caught.value)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(GOOD + "{}\n" + GOOD + "null\n" + "{broken\n")
    with pytest.raises(UserError) as caught:
        require(read_source(path))
    lines = str(caught.value).splitlines()
    assert [line.split(":")[1] for line in lines] == ["2", "4", "5"]


def test_a_flood_of_faults_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(GOOD + "{}\n" * 5000)
    reading = read_source(path)
    assert len(reading.faults) == 1001
    assert "1000 errors in this file" in str(reading.faults[-1])


def test_hostile_text_in_a_fault_is_made_visible(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(chat('{"role": "\\u001b]0;x\\u0007\\n[/b]", "content": "a"}'))
    with pytest.raises(UserError) as caught:
        require(read_source(path))
    said = str(caught.value)
    assert "\x1b" not in said and "\n" not in said and "\\x1b" in said


@pytest.mark.parametrize("format", [*FORMATS, "auto"])
@settings(max_examples=60, deadline=None)
@given(
    data=st.binary(max_size=300) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace"))
)
def test_no_bytes_raise_anything_but_a_user_error(
    format: str, data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed"
    path.write_bytes(data)
    reading = read_source(path, format)
    assert reading.rows or reading.faults
    for fault in reading.faults:
        assert "\n" not in str(fault)


@settings(max_examples=60, deadline=None)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["role", "content", "train", "messages"]), inner)
        ),
        max_leaves=12,
    )
)
def test_no_json_raises_anything_but_a_user_error(
    value: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.jsonl"
    path.write_text(json.dumps({"messages": value}) + "\n")
    reading = read_source(path, "chat")
    assert len(reading.rows) + len(reading.fatal) == 1
