"""Lint: what is suspicious in rows, alone and together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dataset.helpers import chat
from workbench.dataset.checks.linter import Linter, lint
from workbench.dataset.duplicates import dedupe
from workbench.dataset.rows import Fault, Message, Place, Row


def at(line: int, *contents: str, system: str = "") -> Row:
    return chat(*contents, place=Place("a", line), system=system)


def told(faults: Sequence[Fault]) -> list[tuple[int, str]]:
    return [(fault.place.line, fault.code) for fault in faults]


def test_contradictions_name_both_places() -> None:
    rows = [
        at(1, "what is it", "a"),
        at(2, "what  is it", "b"),
        at(3, "what is it", "a "),
        at(4, "what is it", "a", system="other"),
    ]
    repeated, contradicted = lint(rows)
    assert str(repeated) == "a:3: duplicates a:1 (keep one)"
    assert str(contradicted).startswith("a:2: same prompt as a:1 with a different response")
    assert not contradicted.fatal


def test_the_same_words_with_other_tools_are_no_repeat() -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    assert lint([at(1, "a", "b"), replace(at(2, "a", "b"), tools=(tool,))]) == []
    assert lint([at(1, "a", "b"), Row(Place("a", 2), text="ab")]) == []


def test_suspicious_rows_are_told() -> None:
    rows = [
        at(1, "say <|im_end|>", "x"),
        at(2, "echo", " echo "),
        Row(Place("a", 3), (Message("user", "a"), Message("assistant", "b", False))),
        Row(Place("a", 4), text="good text"),
    ]
    assert told(lint(rows)) == [(1, "special-token"), (2, "echo"), (3, "nothing-trained")]
    assert lint(rows[:1], ["<other>"]) == []
    assert told(lint([at(9, "<b> [x] <other>", "y")], ["<other>"])) == [(9, "special-token")]


def test_reasoning_and_calls_are_looked_at_too() -> None:
    call = {"type": "function", "function": {"name": "f", "arguments": {"x": "<|im_end|>"}}}
    thinking = replace(at(1, "a", "b").messages[1], reasoning="so <|eot_id|>")
    calling = replace(thinking, reasoning="", tool_calls=(call,))
    rows = [Row(Place("a", n), (Message("user", "a"), m)) for n, m in ((1, thinking), (2, calling))]
    assert told(lint(rows))[:2] == [(1, "special-token"), (2, "special-token")]


def test_what_begins_as_a_held_out_row_is_a_leak() -> None:
    held = [chat("two", "?", place=Place("held", 7))]
    linter = Linter(held_out=held)
    (fault,) = linter.look(at(1, "two ", "something", "else", "b"))
    assert fault.code == "leak" and "held:7" in fault.message
    assert linter.look(at(2, "one", "two")) == []


def test_a_row_far_longer_or_shorter_than_the_others_is_told() -> None:
    rows = [at(n, "question", "word " * (20 + n % 7)) for n in range(1, 60)]
    odd = [at(60, "question", "word " * 900), at(61, "q", "w")]
    documents = [Row(Place("a", n), text="word " * 9000) for n in range(70, 120)]
    found = [f for f in lint([*rows, *odd, *documents]) if f.code == "length"]
    assert told(found) == [(60, "length"), (61, "length")]
    assert "3,6" in found[0].message and "nearly all rows have" in found[0].message


def test_few_rows_have_no_ordinary_length() -> None:
    assert lint([at(1, "a", "b"), at(2, "c", "d" * 100_000)]) == []


TEXTS = st.sampled_from(["a", "b", " a", "a b", "ab", "ä", "ä ", "\u00a0ä"])


@settings(max_examples=200, deadline=None)
@given(pairs=st.lists(st.tuples(TEXTS, TEXTS), max_size=12))
def test_repeats_are_those_that_would_be_dropped(pairs: list[tuple[str, str]]) -> None:
    rows = [at(n, *pair) for n, pair in enumerate(pairs, 1)]
    _, dropped = dedupe(rows, "exact")
    found = [fault for fault in lint(rows) if fault.code == "duplicate"]
    assert [(f.place, f.message) for f in found] == [
        (row.place, f"duplicates {first.place}") for row, first in dropped
    ]
