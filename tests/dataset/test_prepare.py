"""Duplicates, split and leaks: pure functions with invariants that hold for any rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dataset.helpers import chat
from workbench.dataset import near
from workbench.dataset.near import near_duplicates
from workbench.dataset.prepare import dedupe, find_leaks, opening_key, split, with_system
from workbench.dataset.rows import Message, Place, Row
from workbench.errors import UserError


def row(prompt: str, answer: str = "ok", line: int = 1, category: str = "") -> Row:
    return replace(chat(prompt, answer, place=Place("a", line)), category=category)


ROWS = st.lists(
    st.builds(
        row,
        st.sampled_from("abcdefghijklmnop"),
        st.sampled_from(["x", "y", "x  "]),
        st.integers(1, 1000),
        st.sampled_from(["", "loops", "classes"]),
    ),
    max_size=60,
)


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


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=30), max_size=15))
def test_the_index_finds_what_comparing_all_pairs_finds(texts: list[list[str]]) -> None:
    joined = [" ".join(text) for text in texts]
    sets = [frozenset(near.grams(text)) for text in joined]
    expected: dict[int, int] = {}
    for later in range(len(sets)):
        for earlier in range(later):
            alike = len(sets[later] & sets[earlier]) / len(sets[later] | sets[earlier])
            if earlier not in expected and alike >= near.THRESHOLD:
                expected[later] = earlier
                break
    assert near_duplicates(joined) == expected


def test_near_is_refused_for_too_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "MAX_TEXTS", 2)
    with pytest.raises(UserError, match='dedupe = "exact"'):
        dedupe([row("a"), row("b"), row("c")], "near")


@settings(max_examples=80, deadline=None)
@given(rows=ROWS, share=st.floats(0, 0.9), seed=st.integers(0, 5))
def test_a_split_parts_the_rows_and_no_prompt_stands_on_both_sides(
    rows: list[Row], share: float, seed: int
) -> None:
    train, held = split(rows, share, seed)
    assert Counter(train + held) == Counter(rows)
    assert not {opening_key(r) for r in train} & {opening_key(r) for r in held}
    assert find_leaks(train, held) == []
    assert (train, held) == split(rows, share, seed)
    assert train == [r for r in rows if r in train], "the order of the rows stays"
    if rows:
        assert train
    if share == 0:
        assert not held


@settings(max_examples=40, deadline=None)
@given(rows=ROWS, seed=st.integers(0, 5))
def test_a_split_does_not_depend_on_the_order_of_rows(rows: list[Row], seed: int) -> None:
    one, two = split(rows, 0.3, seed), split(rows[::-1], 0.3, seed)
    assert Counter(one[1]) == Counter(two[1])


def test_the_share_is_met_in_every_category() -> None:
    rows = [row(f"{name}{n}", category=name) for name in ("a", "b") for n in range(40)]
    rows += [row(f"rare{n}", category="rare") for n in range(3)]
    _, held = split(rows, 0.25, 42)
    counts = Counter(r.category for r in held)
    assert counts["a"] == counts["b"] == 10 and counts["rare"] in (0, 1)
    assert len(held) in (20, 21)


def test_two_seeds_hold_back_different_rows() -> None:
    rows = [row(f"prompt {n}") for n in range(100)]
    assert split(rows, 0.1, 1)[1] != split(rows, 0.1, 2)[1]


def test_rows_added_later_move_few_of_the_others() -> None:
    rows = [row(f"prompt {n}") for n in range(200)]
    held = {r.messages[0].content for r in split(rows[:180], 0.1, 42)[1]}
    after = {r.messages[0].content for r in split(rows, 0.1, 42)[1]}
    assert len(held - after) <= 4


def test_even_a_tiny_set_gives_a_row_to_validation() -> None:
    train, held = split([row("a"), row("b"), row("c")], 0.1, 42)
    assert (len(train), len(held)) == (2, 1)


def test_conversations_that_begin_alike_stay_together() -> None:
    long = chat("hi", "hello", "more", "yes")
    rows = [long, row("hi", "hey"), *(row(f"p{n}") for n in range(20))]
    for seed in range(10):
        _, held = split(rows, 0.5, seed)
        assert (long in held) == (rows[1] in held)


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
