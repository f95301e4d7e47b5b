"""Near duplicates and groups are those that comparing all pairs finds, whatever the texts."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workbench.dataset import ngram_index
from workbench.dataset.duplicates import THRESHOLD, join, near_duplicates, near_groups, root

WORDS = st.lists(st.sampled_from("abcd"), max_size=30).map(" ".join)


def gram_set(text: str) -> frozenset[tuple[str, ...]]:
    """The grams themselves, where the index has hashes."""
    words = ngram_index._WORD.findall(text.lower())
    count = ngram_index.GRAM_WORDS
    return frozenset(tuple(words[at : at + count]) for at in range(max(1, len(words) - count + 1)))


def alike(one: frozenset[object], other: frozenset[object]) -> bool:
    shared = len(one & other)
    return shared >= THRESHOLD * (len(one) + len(other) - shared)


def plainly(texts: list[str]) -> dict[int, int]:
    sets, near_ones = [gram_set(text) for text in texts], {}
    for later in range(len(sets)):
        for earlier in range(later):
            if earlier not in near_ones and alike(sets[later], sets[earlier]):
                near_ones[later] = earlier
                break
    return near_ones


def plain_groups(texts: list[str]) -> list[int]:
    sets, roots = [gram_set(text) for text in texts], list(range(len(texts)))
    for later in range(len(sets)):
        for earlier in range(later):
            if alike(sets[later], sets[earlier]):
                join(roots, later, earlier)
    return [root(roots, number) for number in range(len(roots))]


def one_pattern(choose: random.Random) -> str:
    """A text that shares most of its words with all others, as made-up data do."""
    name, tag = choose.choice("abc"), choose.choice(["div", "ul"])
    lines = [f"<p class='{f}'> {{ {f} of {name} }} </p>" for f in choose.sample("uvwxyz", 4)]
    return f"Write me a part called {name} in a {tag} , please : < {tag} > {' '.join(lines)}"


def changed(choose: random.Random, long: int) -> str:
    """One of a few long texts with none to twelve words changed: on both sides of the threshold."""
    words = [f"w{choose.choice('xy')}{n}" if n % 50 == 7 else f"w{n}" for n in range(long)]
    for _ in range(choose.randrange(13)):
        words[choose.randrange(long)] = choose.choice(["new", "Other", "ß", "i\u0307"])
    return choose.choice([" ", "\n", " \u00a0"]).join(words)


def one_more(choose: random.Random) -> str:
    """All alike, each with words that no other has."""
    return " ".join([*(f"word{n}" for n in range(80)), str(choose.random())])


def hostile(choose: random.Random) -> str:
    """Short, empty, without words, all of one word."""
    return choose.choice(
        ["", " \n", "a", "a b", "b a", "A B", "a " * choose.randrange(50), "." * 9, "日本 語", "\0"]
    )


MAKERS = (one_pattern, lambda c: changed(c, 60), lambda c: changed(c, 400), one_more, hostile)


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, max_size=15))
@example(["", " ", "a", "A"])
def test_the_index_finds_what_comparing_all_pairs_finds(texts: list[str]) -> None:
    assert near_duplicates(texts) == plainly(texts)
    assert near_groups(texts) == plain_groups(texts)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("seed", range(3))
def test_rows_of_one_pattern_too(make: Callable[[random.Random], str], seed: int) -> None:
    choose = random.Random(seed)
    texts = [make(choose) for _ in range(150)]
    assert near_duplicates(texts) == plainly(texts)
    assert near_groups(texts) == plain_groups(texts)


@pytest.mark.parametrize("seed", range(3))
def test_all_kinds_together_and_in_batches(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngram_index, "BATCH_WORDS", 500)
    monkeypatch.setattr(ngram_index, "BITMAPS_AT_ONCE", 7)
    choose = random.Random(seed)
    texts = [choose.choice(MAKERS)(choose) for _ in range(200)]
    found = near_duplicates(iter(texts))
    assert found == plainly(texts) and len(found) > 20
    assert near_groups(iter(texts)) == plain_groups(texts)


@pytest.mark.parametrize("shift, log", [(63, 8), (20, 3), (64 - 4, 1)])
def test_ranks_that_many_grams_share_hide_no_pair(
    shift: int, log: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where counts collide and the bits of hashes are the same, more is looked at, none less."""
    monkeypatch.setattr(ngram_index, "_HASH_SHIFT", np.uint64(shift))
    monkeypatch.setattr(ngram_index, "MAX_BUCKETS_LOG", log)
    choose = random.Random(log)
    texts = [choose.choice(MAKERS)(choose) for _ in range(120)]
    assert near_duplicates(texts) == plainly(texts)


@pytest.mark.parametrize("long", [24, 44, 104, 144, 204])
def test_the_threshold_itself_is_alike(long: int) -> None:
    """As many grams less as the threshold lets go, to the last one; and one more."""
    words = [f"w{n}" for n in range(long)]
    count = long - ngram_index.GRAM_WORDS + 1
    for gone in range(count // 2):
        texts = [" ".join(words), " ".join(words[gone:])]
        assert bool(near_duplicates(texts)) == (count - gone >= THRESHOLD * count)
        assert near_duplicates(texts) == plainly(texts)


def test_nothing_has_no_duplicates() -> None:
    assert near_duplicates([]) == {} and near_groups([]) == []


def test_a_gram_is_told_from_fewer_words() -> None:
    sets = [
        ngram_index.grams(text) for text in ("a b c d e", "a b c d", "a b c d e f", "A\tB c d e")
    ]
    assert [len(found) for found in sets] == [1, 1, 2, 1]
    assert sets[0] == sets[3] != sets[1] and sets[0] in sets[2]
