"""A value in a Modelfile: how it is quoted, where it ends, and what `ollama create` drops of it.

The rules are those of Ollama's own reader (`parser/parser.go` in github.com/ollama/ollama, read at
v0.33). A value stands in one or three quotes, which know no escapes, or in none. It ends at the
first line break before which its quotes are closed, so quotes within a line are part of the text.
Nothing inside the quotes is trimmed. Characters that Go does not count as printable (no-break
spaces, joiners, direction marks) are dropped; line breaks and tabs are kept.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator

QUOTES = ('"""', '"')
_KEPT = " \t\n\r"
_BREAK = re.compile(r"[\n\r]")


def quoted(text: str) -> str | None:
    """`text` as a value, or None if no quotes can hold it, before or after what is dropped."""
    quote = '"""' if any(c in text for c in '\n\r"') else '"'
    if "\x00" in text:
        return None
    for said in (text, "".join(filter(is_kept, text))):
        value = f"{quote}{said}{quote}"
        if value_at(value, 0) != (said, len(value)):
            return None
    return f"{quote}{text}{quote}"


def value_at(text: str, at: int) -> tuple[str, int] | None:
    """The value that begins at `at`, and where its line ends; None for quotes that never close."""
    while at < len(text) and text[at] in " \t":
        at += 1
    quote = next((quote for quote in QUOTES if text.startswith(quote, at)), "")
    for end in _line_ends(text, at):
        stop = end
        while stop > at and text[stop - 1].isspace():
            stop -= 1
        if not quote:
            return text[at:stop], end
        if stop - at >= 2 * len(quote) and text.endswith(quote, at, stop):
            return text[at + len(quote) : stop - len(quote)], end
    return None


def dropped(text: str) -> dict[str, int]:
    """Each character of `text` that `ollama create` drops from a Modelfile, with its count."""
    return dict(Counter(c for c in text if not is_kept(c)))


def is_kept(character: str) -> bool:
    """Whether `ollama create` keeps it: Go's `strconv.IsPrint`, tabs and line breaks."""
    return character in _KEPT or unicodedata.category(character)[0] in "LMNPS"


def name_of(character: str) -> str:
    """A character that cannot be seen, such as `U+00A0 NO-BREAK SPACE`."""
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X}" + (f" {name}" if name else "")


def _line_ends(text: str, at: int) -> Iterator[int]:
    yield from (match.start() for match in _BREAK.finditer(text, at))
    yield len(text)
