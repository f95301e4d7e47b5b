"""What is well formed is read as it stands, whatever the format, with its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.errors import UserError
from workbench.dataset.rows import Message, Place, Row
from workbench.dataset.sources import ReadResult, read_source, require


def read(path: Path, text: str | bytes, format: str = "auto") -> ReadResult:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_source(path, format)


def pairs(reading: ReadResult) -> list[tuple[str, str]]:
    return [(row.messages[0].content, row.expected) for row in reading.rows]


def test_input_output(tmp_path: Path) -> None:
    text = "\n# INPUT\n\nWrite a loop\nover users\n\n# OUTPUT\nfor user {\n\n  x\n}\n\n\n"
    text += "# INPUT\nWhat?\n# OUTPUT\n\n    indented\n"
    reading = read(tmp_path / "a.txt", text)
    assert reading.format == "input-output" and "# INPUT" in reading.why
    assert pairs(reading) == [
        ("Write a loop\nover users", "for user {\n\n  x\n}"),
        ("What?", "    indented"),
    ]
    assert [row.place.line for row in reading.rows] == [2, 14]
    assert reading.faults == []


def test_headers_in_another_spelling(tmp_path: Path) -> None:
    reading = read(tmp_path / "a.md", "## input:\na\n## Output \nb\n## input:\nc\n## Output\nd\n")
    assert pairs(reading) == [("a", "b"), ("c", "d")]


def test_a_comment_that_resembles_a_header_is_text_and_is_told(tmp_path: Path) -> None:
    text = "# INPUT\nsum\n# OUTPUT\n# input\nx = 1\n# Output\nprint(x)\n# INPUT\na\n# OUTPUT\nb\n"
    reading = read(tmp_path / "a.txt", text)
    assert pairs(reading) == [("sum", "# input\nx = 1\n# Output\nprint(x)"), ("a", "b")]
    assert [(fault.code, fault.place.line) for fault in reading.faults] == [
        ("near-header", 4),
        ("near-header", 6),
    ]
    assert not reading.fatal


def test_windows_line_ends_and_a_mark_are_read_and_told(tmp_path: Path) -> None:
    data = "\ufeff# INPUT\r\na\r\n# OUTPUT\r\nb\r\nc\r\n".encode()
    reading = read(tmp_path / "a.txt", data)
    assert pairs(reading) == [("a", "b\nc")]
    assert [fault.code for fault in reading.faults] == ["bom", "crlf"]
    assert not reading.fatal


def test_chat(tmp_path: Path) -> None:
    row = {
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "größer\n"},
            {"role": "assistant", "content": "one", "train": False},
            {"role": "user", "content": "more", "name": None},
            {"role": "assistant", "content": "two", "weight": 1},
        ],
        "category": " loops  and more ",
        "must_contain": "for",
        "id": 7,
    }
    reading = read(tmp_path / "a.jsonl", "\n" + json.dumps(row) + "\n")
    (found,) = reading.rows
    assert found.place == Place(str(tmp_path / "a.jsonl"), 2)
    assert found.messages == (
        Message("system", "be brief"),
        Message("user", "größer\n"),
        Message("assistant", "one", train=False),
        Message("user", "more"),
        Message("assistant", "two"),
    )
    assert found.category == "loops and more" and found.must_contain == ("for",)
    assert str(reading.faults[0]).endswith("unused keys (with row counts): 'id' (1)")
    assert not reading.fatal


def test_tools_between_answers(tmp_path: Path) -> None:
    roles = ["user", "assistant", "tool", "tool", "assistant"]
    row = {"messages": [{"role": role, "content": "x"} for role in roles]}
    assert len(read(tmp_path / "a.jsonl", json.dumps(row)).rows) == 1


def test_prompt_completion(tmp_path: Path) -> None:
    row = {"prompt": "a", "completion": "b", "category": "c", "must_contain": ["x", "y"]}
    reading = read(tmp_path / "a.jsonl", json.dumps(row))
    assert reading.format == "prompt-completion"
    assert pairs(reading) == [("a", "b")]
    assert reading.rows[0].must_contain == ("x", "y")


def test_prompts_without_answers_are_read_where_none_are_needed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "a", "must_contain": ["x"]}\n')
    (row,) = read_source(path, answers=False).rows
    assert row.expected == "" and row.prompt_messages() == (Message("user", "a"),)
    assert read_source(path).fatal[0].code == "no-answer"


@pytest.mark.parametrize("indent", [None, 2])
def test_alpaca_lines_and_arrays(indent: int | None, tmp_path: Path) -> None:
    rows = [
        {"instruction": "sum", "input": "1 2", "output": "3"},
        {"instruction": "hi", "input": "", "output": "ho"},
    ]
    expected = [("sum\n\n1 2", "3"), ("hi", "ho")]
    array = read(tmp_path / "a.json", json.dumps(rows, indent=indent))
    assert array.format == "alpaca" and pairs(array) == expected
    assert [row.place.line for row in array.rows] == ([1, 1] if indent is None else [2, 7])
    lines = read(tmp_path / "b.jsonl", "\n".join(map(json.dumps, rows)))
    assert pairs(lines) == expected
    assert [row.place.line for row in lines.rows] == [1, 2]


def test_text_files_are_documents(tmp_path: Path) -> None:
    text = "\n\none\n  two\n\n<|endoftext|>\n\n<|endoftext|>\nthree"
    reading = read(tmp_path / "a.blop", text)
    assert reading.format == "text"
    assert [(row.text, row.place.line) for row in reading.rows] == [
        ("one\n  two\n", 3),
        ("three\n", 9),
    ]


def test_a_folder_is_read_in_order_and_each_file_sniffed(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x").write_text("hidden")
    (tmp_path / "b.txt").write_text("plain")
    (tmp_path / "sub" / "a.jsonl").write_text('{"prompt": "a", "completion": "b"}')
    reading = read_source(tmp_path)
    assert [row.kind for row in reading.rows] == ["text", "chat"]
    assert reading.format == "mixed" and reading.why == "1 text, 1 prompt-completion"
    assert [row.text for row in read_source(f"{tmp_path}/**/*.txt").rows] == ["plain\n"]
    assert "no file matches" in str(read_source(f"{tmp_path}/*.none").faults[0])


def test_a_name_with_brackets_is_a_name_first(tmp_path: Path) -> None:
    (tmp_path / "a[1].txt").write_text("plain")
    assert len(read_source(tmp_path / "a[1].txt").rows) == 1


def test_rows_carry_the_name_of_their_source(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("plain")
    assert read_source(tmp_path / "a.txt", name="mine").rows[0].source == "mine"


def test_an_unknown_format_gets_did_you_mean(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'alpaca'"):
        read_source(tmp_path, "alpacca")


def test_a_markdown_file_that_begins_with_a_bracket_is_text(tmp_path: Path) -> None:
    assert read(tmp_path / "a.md", "[link](x)\n").format == "text"


def test_require_wants_rows(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^x.jsonl: the data has no rows"):
        require(ReadResult(), "x.jsonl")


ANY = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(str.strip)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(ANY, ANY, st.text(st.characters(codec="utf-8"))), min_size=1))
def test_what_is_written_as_json_is_read_back(
    rows: list[tuple[str, str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "written.jsonl"
    lines = [json.dumps({"prompt": p, "completion": c}, ensure_ascii=False) for p, c, _ in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert pairs(require(read_source(path))) == [(p, c) for p, c, _ in rows]


@settings(max_examples=60, deadline=None)
@given(contents=st.lists(ANY, min_size=1, max_size=4), must=st.lists(ANY), category=st.text())
def test_a_row_survives_json(contents: list[str], must: list[str], category: str) -> None:
    roles = ("user", "assistant") * 2
    messages = tuple(
        Message(role, text, train=bool(number % 3))
        for number, (role, text) in enumerate(zip(roles, contents, strict=False))
    )
    row = Row(Place("a", 3), messages, category=category, must_contain=tuple(must), source="s")
    assert Row.from_json(json.loads(json.dumps(row.to_json()))) == row
    text = Row(Place("a", 3), text=contents[0])
    assert Row.from_json(json.loads(json.dumps(text.to_json()))) == text
