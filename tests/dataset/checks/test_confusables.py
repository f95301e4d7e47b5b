"""Characters that deceive are found, and those that serve a purpose are left alone."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.dataset.checks import confusables
from workbench.dataset.checks.confusables import (
    BIDI,
    HARD_SPACES,
    LATIN_OF,
    NO_WIDTH,
    find_confusables,
)

FOUND = {
    "v\u0430lue = 1": "look-alike",  # Cyrillic a
    "a \u0391lpha and \u039fmega1x": "look-alike",
    "pa\u200bss": "zero-width",
    "def\u00adinition": "zero-width",
    "for\ufeff x": "zero-width",
    "a\u200db": "zero-width",
    "if x \u202e# } \u2066": "bidi",
    "\u05d0 \u202e": "bidi",
    "left\u200emark": "bidi",
    "a\u00a0b": "hard-space",
    "10\u202f000 \u00a0\u00a0": "hard-space",
}
FINE = [
    "plain",
    "größer als \u2264 5 µm",
    "Привет, мир",
    "Ελληνικά και English",
    "\u0394x = 3 \u03bcm",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 family",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "שלום\u200f, abc",
    "日本語、テキスト",
]


@pytest.mark.parametrize("text", FOUND)
def test_deceiving_characters_are_named(text: str) -> None:
    found = find_confusables(text)
    assert found is not None
    code, what = found
    assert code == FOUND[text] and "U+" in what and what.isascii() is (code != "look-alike")


@pytest.mark.parametrize("text", FINE)
def test_what_has_a_purpose_is_left_alone(text: str) -> None:
    assert find_confusables(text) is None


def test_the_table_maps_letters_to_latin_ones() -> None:
    assert len(LATIN_OF) == 46
    assert all(not odd.isascii() and latin.isascii() for odd, latin in LATIN_OF.items())


def test_the_first_of_several_is_counted() -> None:
    assert find_confusables("a\u00a0b\u00a0c") == (
        "hard-space",
        "U+00A0 NO-BREAK SPACE at character 2, the first of 2",
    )


def word_by_word(text: str) -> str:
    """The first word that is Latin and something that looks like it, and that letter."""
    for word in re.findall(r"\w+", text):
        odd = [char for char in word if char in LATIN_OF]
        if odd and re.search("[A-Za-z]", word):
            return f"'{word[:40]}' contains {confusables._named(odd[0])}"
    return ""


ODD = st.sampled_from([*LATIN_OF, *"abzAZ09_ -.,äßжλ日\u0301\u05d0\n", "Word", "слово"])
HIDING = st.sampled_from([*NO_WIDTH, *BIDI, *HARD_SPACES, *"ab Zа\u0645\u05d0\U0001f468"])


@settings(max_examples=300, deadline=None)
@given(st.lists(ODD, max_size=30).map("".join))
def test_mixed_words_are_found_as_word_by_word(text: str) -> None:
    expected = word_by_word(text)
    found = find_confusables(text)
    assert (found is None) == (not expected)
    if found:
        assert found[0] == "look-alike" and found[1].startswith(expected)


@settings(max_examples=300, deadline=None)
@given(st.lists(HIDING, max_size=12).map("".join))
def test_what_hides_counts_most_and_the_first_of_it(text: str) -> None:
    """Each hiding character looked at by itself, where it stands."""
    hidden = [n for n, char in enumerate(text, 1) if char in NO_WIDTH + BIDI and hides(text, n - 1)]
    found = find_confusables(text)
    if hidden:
        assert found and found[0] in ("bidi", "zero-width")
        assert found[1].endswith(f"at character {hidden[0]}")
    elif not word_by_word(text):
        spaces = [n for n, char in enumerate(text, 1) if char in HARD_SPACES]
        assert (found is None) == (not spaces)
        assert not found or f"at character {spaces[0]}" in found[1]


def hides(text: str, at: int) -> bool:
    char = text[at]
    if char in confusables.JOINERS:
        return confusables._joins_latin(text, at)
    return char in NO_WIDTH + confusables.OVERRIDES or not confusables._turns_something(text)


def test_a_word_without_end_takes_no_longer_than_its_length() -> None:
    for word in ("a" * 200_000, "ж" * 200_000, "а" * 200_000, "aж" * 100_000, "1" * 200_000):
        assert find_confusables(f"{word} а\u0301") is None
