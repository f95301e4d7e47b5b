"""Duplicates, split and leaks: pure functions with invariants that hold for any rows."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from tests.dataset.helpers import chat
from workbench.core.errors import UserError
from workbench.dataset import duplicates
from workbench.dataset.duplicates import dedupe, find_leaks, with_system, without_whitespace
from workbench.dataset.rows import Message, Place, Row


def row(prompt: str, answer: str = "ok", line: int = 1, category: str = "") -> Row:
    return replace(chat(prompt, answer, place=Place("a", line)), category=category)


def test_exact_duplicates_ignore_white_space_and_keep_the_first() -> None:
    rows = [row("a  b", line=1), row("a\nb ", line=2), row("a b", "other", 3), row("A b", line=4)]
    kept, dropped = dedupe(rows, "exact")
    assert [r.place.line for r in kept] == [1, 3, 4]
    assert [(r.place.line, first.place.line) for r, first in dropped] == [(2, 1)]
    assert dedupe(rows, "none") == (rows, [])


def test_near_duplicates_are_dropped_and_others_kept() -> None:
    words = [f"word{number}" for number in range(60)]
    almost = [*words[:59], "changed"]
    half = [*words[:30], *(f"other{number}" for number in range(30))]
    rows = [row(" ".join(text), line=n) for n, text in enumerate([words, almost, half], 1)]
    kept, dropped = dedupe(rows, "near")
    assert [r.place.line for r in kept] == [1, 3]
    assert [(r.place.line, first.place.line) for r, first in dropped] == [(2, 1)]


def test_white_space_of_every_kind_does_not_count() -> None:
    spaces = [char for char in map(chr, range(sys.maxunicode + 1)) if char.isspace()]
    assert len(spaces) > 20
    for char in spaces:
        for text in ("a{}b{}", "{}ä{}ß", "日{}本", "\ud800{}x"):
            plain = text.replace("{}", "")
            assert without_whitespace(text.replace("{}", char)) == without_whitespace(plain)
            assert without_whitespace(plain) == plain.encode("utf-8", "surrogatepass")


def test_near_is_refused_for_too_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MAX_TEXTS", 2)
    with pytest.raises(UserError, match='dedupe = "exact"'):
        dedupe([row("a"), row("b"), row("c")], "near")


def test_leaks_are_found_whatever_the_answer() -> None:
    train, held = [row("a  b", "x", 1), row("c", "y", 2)], [row("a b", "z", 9), row("d", "z", 10)]
    assert [(s.place.line, h.place.line) for s, h in find_leaks(train, held)] == [(1, 9)]


def test_the_system_prompt_is_put_where_there_is_none() -> None:
    own = chat("a", "b", system="mine")
    text = Row(Place("a", 1), text="raw")
    first, second, third = with_system([row("a"), own, text], "be brief")
    assert first.messages[0] == Message("system", "be brief")
    assert second is own and third is text
    assert with_system([own], "") == [own]
