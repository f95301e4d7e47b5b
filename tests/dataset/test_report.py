"""Lint and the report: what a person is told about their data."""

from __future__ import annotations

import json
from pathlib import Path

from tests.dataset.helpers import chat
from workbench.dataset.lint import lint
from workbench.dataset.read import Reading, read_source
from workbench.dataset.report import summarise
from workbench.dataset.rows import Fault, Message, Place, Row


def test_contradictions_name_both_places() -> None:
    rows = [
        chat("what is it", "a", place=Place("a", 1)),
        chat("what  is it", "b", place=Place("a", 2)),
        chat("what is it", "a ", place=Place("a", 3)),
        chat("what is it", "a", system="other", place=Place("a", 4)),
    ]
    (fault,) = lint(rows)
    assert str(fault).startswith("a:2: the prompt of a:1 with another answer")
    assert not fault.fatal


def test_suspicious_rows_are_told() -> None:
    rows = [
        chat("say <|im_end|>", "x"),
        chat("echo", " echo "),
        Row(Place("a", 1), (Message("user", "a"), Message("assistant", "b", False))),
        Row(Place("a", 1), text="good text"),
    ]
    assert [fault.code for fault in lint(rows)] == ["special-token", "echo", "nothing-trained"]
    assert [fault.code for fault in lint(rows[:1], ["<other>"])] == []


def test_a_summary_counts_and_shows_everything(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [
        {"prompt": "one", "completion": "1", "category": "numbers\x1b[31m"},
        {"prompt": "one ", "completion": "1"},
        {"prompt": "two", "completion": "22"},
        {"prompt": "two", "completion": "II"},
        {"prompt": "", "completion": "x"},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    held = [chat("two", "?", place=Place("held.jsonl", 7))]
    summary = summarise(
        read_source(path), str(path), count_tokens=lambda row: len(row.expected), held_out=held
    )
    text = "\n".join(summary.lines())
    assert f"{path}: prompt-completion (JSON rows with 'prompt' and 'completion')" in text
    assert "rows          4" in text and "numbers\\x1b[31m 1" in text
    assert f"{path}:2 repeats {path}:1" in text
    assert "held.jsonl:7 is held out and trained on at" in text
    assert f"{path}:5: 'prompt' is empty" in text and "with another answer" in text
    assert "row, tokens   1 shortest" in text
    assert "\x1b" not in text
    assert not summary.usable


def test_the_summary_as_json_is_strict(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("some text\n")
    summary = summarise(read_source(tmp_path), str(tmp_path))
    value = json.loads(json.dumps(summary.to_json(), allow_nan=False))
    assert value["usable"] and value["kinds"] == {"text": 1}
    assert value["text_chars"]["longest"] == 10 and value["prompt_chars"] is None


def test_long_lists_are_shortened_and_say_so() -> None:
    faults = [Fault(Place("a", n), "x", "bad") for n in range(1, 31)]
    rows = [chat("same", "same answer", place=Place("a", n)) for n in range(1, 11)]
    lines = summarise(Reading(rows, faults, "chat", ""), "a").lines()
    assert "  and 10 more" in lines and "  and 4 more" in lines


def test_an_empty_reading_has_a_summary() -> None:
    summary = summarise(Reading(), "a")
    assert not summary.usable and "rows          0" in summary.lines()
