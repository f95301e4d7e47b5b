"""Characters that look like others or like nothing: a model learns them, a person never sees them.

Found: letters of Cyrillic or Greek that look Latin in a word with Latin letters, characters
without width, controls of writing direction, no-break spaces. Left alone is what has a purpose:
joiners inside emoji and in scripts that need them, words that are Cyrillic or Greek throughout,
and letters that look like no Latin one (the mu of a unit, the delta of a formula).
"""

from __future__ import annotations

import re
import unicodedata

# As Unicode's confusables.txt (UTS 39) has them, the letters of everyday alphabets only.
CYRILLIC = dict(zip("АВЕЅІЈКМНОРСТУХаеѕіјорсухһԁԛԝ", "ABESIJKMHOPCTYXaesijopcyxhdqw", strict=True))
GREEK = dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧνου", "ABEZHIKMNOPTYXvou", strict=True))
LATIN_OF = CYRILLIC | GREEK
JOINERS = "\u200c\u200d"
NO_WIDTH = "\u200b\u2060\ufeff\u00ad\u180e" + JOINERS
BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
OVERRIDES = "\u202d\u202e"  # even Hebrew and Arabic have hardly a use for them
HARD_SPACES = "\u00a0\u2007\u202f"
_ODD = "".join(LATIN_OF)
_SUSPECT = re.compile(f"[{_ODD}{NO_WIDTH}{BIDI}{HARD_SPACES}]")
_HIDDEN = re.compile(f"[{NO_WIDTH}{BIDI}]")
# A word with a Latin letter, and one that looks like it: no character is gone over a third time.
_MIXED = re.compile(rf"\b(?=[^\WA-Za-z]*+[A-Za-z])[^\W{_ODD}]*+([{_ODD}])\w*+")
_HARD_SPACE = re.compile(f"[{HARD_SPACES}]")
_RIGHT_TO_LEFT = ("R", "AL")


def find_confusables(text: str) -> tuple[str, str] | None:
    """(code, what) of the most telling character of `text`, None where there is none.

    A character that hides or turns text counts for more than a letter, a letter more than a space.
    """
    if text.isascii() or not _SUSPECT.search(text):
        return None
    return _hidden(text) or _mixed(text) or _hard_space(text)


def _hidden(text: str) -> tuple[str, str] | None:
    for found in _HIDDEN.finditer(text):
        char, at = found[0], found.start()
        if char in BIDI and (char in OVERRIDES or not _turns_something(text)):
            return "bidi", f"{_named(char)} at character {at + 1}"
        if char in JOINERS and not _joins_latin(text, at):
            continue
        if char in NO_WIDTH:
            return "zero-width", f"{_named(char)} at character {at + 1}"
    return None


def _mixed(text: str) -> tuple[str, str] | None:
    word = _MIXED.search(text)
    if word is None:
        return None
    what = f"'{word[0][:40]}' contains {_named(word[1])}, which looks like"
    return "look-alike", f"{what} '{LATIN_OF[word[1]]}'"


def _hard_space(text: str) -> tuple[str, str] | None:
    found = _HARD_SPACE.search(text)
    if found is None:
        return None
    count = sum(text.count(char) for char in HARD_SPACES)
    more = f", the first of {count}" if count > 1 else ""
    return "hard-space", f"{_named(found[0])} at character {found.start() + 1}{more}"


def _joins_latin(text: str, at: int) -> bool:
    """Whether a joiner stands beside a letter or digit that no joiner changes."""
    beside = text[max(0, at - 1) : at] + text[at + 1 : at + 2]
    return not beside.strip() or any(char.isascii() and char.isalnum() for char in beside)


def _turns_something(text: str) -> bool:
    """Whether the text has letters that are written from right to left."""
    return any(unicodedata.bidirectional(char) in _RIGHT_TO_LEFT for char in text)


def _named(char: str) -> str:
    return f"U+{ord(char):04X} {unicodedata.name(char, 'unnamed')}"
