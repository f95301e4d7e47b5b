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
_SUSPECT = re.compile(f"[{''.join(LATIN_OF)}{NO_WIDTH}{BIDI}{HARD_SPACES}]")
_WORD = re.compile(r"\w+")
_LATIN = re.compile("[A-Za-z]")
_RIGHT_TO_LEFT = ("R", "AL")


def find(text: str) -> tuple[str, str] | None:
    """(code, what) of the most telling character of `text`, None where there is none.

    A character that hides or turns text counts for more than a letter, a letter more than a space.
    """
    if text.isascii() or not _SUSPECT.search(text):
        return None
    return _hidden(text) or _mixed(text) or _hard_space(text)


def _hidden(text: str) -> tuple[str, str] | None:
    for found in _SUSPECT.finditer(text):
        char, at = found[0], found.start()
        if char in BIDI and (char in OVERRIDES or not _turns_something(text)):
            return "bidi", f"{_named(char)} at character {at + 1}"
        if char in JOINERS and not _joins_latin(text, at):
            continue
        if char in NO_WIDTH:
            return "zero-width", f"{_named(char)} at character {at + 1}"
    return None


def _mixed(text: str) -> tuple[str, str] | None:
    for word in _WORD.finditer(text):
        if word[0].isascii() or not _LATIN.search(word[0]):
            continue
        odd = next((char for char in word[0] if char in LATIN_OF), None)
        if odd:
            what = f"'{word[0][:40]}' is written with {_named(odd)}, which looks like"
            return "look-alike", f"{what} '{LATIN_OF[odd]}'"
    return None


def _hard_space(text: str) -> tuple[str, str] | None:
    found = next((n for n, char in enumerate(text) if char in HARD_SPACES), None)
    if found is None:
        return None
    count = sum(text.count(char) for char in HARD_SPACES)
    more = f", the first of {count}" if count > 1 else ""
    return "hard-space", f"{_named(text[found])} at character {found + 1}{more}"


def _joins_latin(text: str, at: int) -> bool:
    """Whether a joiner stands beside a letter or digit that no joiner changes."""
    beside = text[max(0, at - 1) : at] + text[at + 1 : at + 2]
    return not beside.strip() or any(char.isascii() and char.isalnum() for char in beside)


def _turns_something(text: str) -> bool:
    """Whether the text has letters that are written from right to left."""
    return any(unicodedata.bidirectional(char) in _RIGHT_TO_LEFT for char in text)


def _named(char: str) -> str:
    return f"U+{ord(char):04X} {unicodedata.name(char, 'unnamed')}"
