"""The split: a pure function with invariants that hold for any rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dataset.helpers import chat
from workbench.dataset.duplicates import THRESHOLD, find_leaks, first_turn_key, row_text
from workbench.dataset.ngram_index import grams
from workbench.dataset.rows import Place, Row
from workbench.dataset.split import split


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


@settings(max_examples=80, deadline=None)
@given(rows=ROWS, share=st.floats(0, 0.9), seed=st.integers(0, 5))
def test_a_split_parts_the_rows_and_no_prompt_stands_on_both_sides(
    rows: list[Row], share: float, seed: int
) -> None:
    train, held = split(rows, share, seed)
    assert Counter(train + held) == Counter(rows)
    assert not {first_turn_key(r) for r in train} & {first_turn_key(r) for r in held}
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


def test_source_kind_and_difficulty_give_their_share_too() -> None:
    rows = [
        replace(row(f"{source}{level}{n}"), source=source, difficulty=level)
        for source in "xy"
        for level in "12"
        for n in range(20)
    ]
    rows += [Row(Place("a", n), text=f"document {n}", source="x") for n in range(20)]
    _, held = split(rows, 0.2, 7)
    counts = Counter((r.source, r.kind, r.difficulty) for r in held)
    assert set(counts.values()) == {4} and len(counts) == 5


WORDS = [f"w{n}" for n in range(24)]
EDITS = st.lists(st.tuples(st.integers(0, 23), st.sampled_from("ab")), max_size=3)


@settings(max_examples=60, deadline=None)
@given(edits=st.lists(EDITS, min_size=2, max_size=14), seed=st.integers(0, 3), many=st.booleans())
def test_no_near_duplicate_stands_on_the_other_side(
    edits: list[list[tuple[int, str]]], seed: int, many: bool
) -> None:
    """Whole chains of rows that are alike, each to the next, stay together."""
    rows = []
    for number, edit in enumerate(edits):
        words = list(WORDS) * (4 if many else 1)
        for at, word in edit:
            words[at] = word
        rows.append(row(" ".join(words), f"answer {number}", line=number))
    rows += [row(f"other {n}") for n in range(6)]
    train, held = split(rows, 0.4, seed)
    for one in held:
        mine = set(grams(row_text(one)))
        for other in train:
            its = set(grams(row_text(other)))
            assert len(mine & its) < THRESHOLD * len(mine | its)


@settings(max_examples=60, deadline=None)
@given(
    n_rows=st.integers(20, 120),
    more=st.integers(1, 8),
    share=st.sampled_from([0.05, 0.1, 0.3]),
    seed=st.integers(0, 9),
)
def test_an_added_row_moves_two_others_at_most(
    n_rows: int, more: int, share: float, seed: int
) -> None:
    """One for its place in the order, one for its part in the rounded share."""
    rows = [row(f"prompt {n}", category="ab"[n % 2]) for n in range(n_rows + more)]
    before = {r.messages for r in split(rows[:n_rows], share, seed)[1]}
    after = {r.messages for r in split(rows, share, seed)[1]}
    old = {r.messages for r in rows[:n_rows]}
    assert len((before ^ after) & old) <= 2 * more
