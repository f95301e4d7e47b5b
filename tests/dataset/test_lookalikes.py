"""Characters that deceive are found, and those that serve a purpose are left alone."""

from __future__ import annotations

import pytest

from workbench.dataset.lookalikes import LATIN_OF, find

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
    found = find(text)
    assert found is not None
    code, what = found
    assert code == FOUND[text] and "U+" in what and what.isascii() is (code != "look-alike")


@pytest.mark.parametrize("text", FINE)
def test_what_has_a_purpose_is_left_alone(text: str) -> None:
    assert find(text) is None


def test_the_table_maps_letters_to_latin_ones() -> None:
    assert len(LATIN_OF) == 46
    assert all(not odd.isascii() and latin.isascii() for odd, latin in LATIN_OF.items())


def test_the_first_of_several_is_counted() -> None:
    assert find("a\u00a0b\u00a0c") == (
        "hard-space",
        "U+00A0 NO-BREAK SPACE at character 2, the first of 2",
    )
