"""JSON objects with their line numbers, from JSON Lines or from one JSON array.

Stricter than the standard library: duplicate keys, NaN and Infinity, lone surrogates, NULs and
nesting beyond all reason are faults, because each of them is accepted silently by some other tool
and then means something else.

Two parsers: orjson reads nearly every line; whatever it refuses, and whatever might be one of the
faults that it lets pass, is read again by the strict one, whose word counts.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import orjson

from workbench.core.text import one_line
from workbench.dataset.readers.lines import Line, read_head, read_lines, read_many
from workbench.dataset.rows import Fault, Place

MAX_DEPTH = 64
MAX_ARRAY_BYTES = 1 << 30
JsonRow = tuple[Place, dict[str, Any]]
_SPACE = re.compile(r"[ \t\r\n]*")
_FAR = 1 << 62
_ONE_OBJECT = "write one JSON object per line"


class Refused(Exception):
    """A value that strict JSON does not have; the message says which."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint

    def at(self, place: Place) -> Fault:
        return Fault(place, self.code, self.message, self.hint)


def json_rows(path: Path) -> Iterator[JsonRow | Fault]:
    """Every object of the file with the line it begins on, or the fault in its place."""
    head = read_head(path)
    if isinstance(head, Fault):
        yield head
    elif head.lstrip().startswith("["):
        yield from _array(path)
    elif head.lstrip().split("\n", 1)[0].strip() == "{":
        what = "a JSON object spans several lines"
        number = 1 + head[: head.index("{")].count("\n")
        yield Fault(Place(str(path), number), "broken-json", what, _ONE_OBJECT)
    else:
        name = str(path)
        for lines in read_many(path):
            if isinstance(lines, Fault):
                yield lines
                continue
            for number, text in enumerate(lines.texts, lines.number):
                if text and not text.isspace():
                    yield _object(Place(name, number), text)


def parse_json(text: str) -> Any:
    """The strict JSON value of `text`. Raises Refused."""
    try:
        value = orjson.loads(text)
    except ValueError:
        return _parse_strictly(text)
    if 2 * _count_strings(value) != _count_quotes(text):
        return _parse_strictly(text)
    return value


def _count_strings(value: Any, depth: int = 0) -> int:
    """Strings in `value`, keys included; negative where only the strict parser can be trusted."""
    entries: Iterable[Any] = value
    found = 0
    if type(value) is dict:
        found, entries = len(value), value.values()
    elif type(value) is not list:
        return -_FAR
    if depth > MAX_DEPTH:
        return -_FAR
    for entry in entries:
        kind = type(entry)
        if kind is str:
            found += 1
        elif kind is dict or kind is list:
            found += _count_strings(entry, depth + 1)
        elif kind is float:  # it may have been a whole number of too many digits
            return -_FAR
    return found


def _count_quotes(text: str) -> int:
    """Quotes that begin or end a string: two each, so a key that orjson took twice shows.

    -1 where a NUL may be written out.
    """
    found = text.count('"')
    if "\\" in text:
        if "\\u0000" in text:
            return -1
        found -= text.replace("\\\\", "").count('\\"')
    return found


def _parse_strictly(text: str) -> Any:
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _broken(error, _ONE_OBJECT) from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        raise _too_many_digits() from None
    _check(value)
    return value


def a_type(value: Any) -> str:
    """The JSON type of `value`, in words with an article."""
    names = {str: "a string", bool: "a boolean", list: "a list", dict: "an object"}
    return "null" if value is None else names.get(type(value), "a number")


def _object(place: Place, text: str) -> JsonRow | Fault:
    try:
        return place, _as_object(parse_json(text))
    except Refused as refused:
        return refused.at(place)


def _array(path: Path) -> Iterator[JsonRow | Fault]:
    """The elements of one JSON array, decoded one at a time; the text is held in memory whole."""
    lines = list(read_lines(path, max_line_bytes=MAX_ARRAY_BYTES))
    faults = [line for line in lines if isinstance(line, Fault)]
    yield from faults
    if any(fault.fatal for fault in faults):
        return
    text = "\n".join(line.text for line in lines if isinstance(line, Line))
    place, counted = Place(str(path), 1), 0
    for start, value in _elements(text):
        place = Place(str(path), place.line + text.count("\n", counted, start))
        counted = start
        if isinstance(value, Refused):
            yield value.at(place)
            continue
        try:
            _check(value)
            yield place, _as_object(value)
        except Refused as refused:
            yield refused.at(place)


def _elements(text: str) -> Iterator[tuple[int, Any]]:
    """(offset, value) for every element of the array in `text`; the last may be a Refused."""
    at = _skip(text, _skip(text, 0) + 1)
    closed = text[at : at + 1] == "]"
    try:
        while not closed:
            value, end = _DECODER.raw_decode(text, at)
            yield at, value
            at = _skip(text, end)
            closed = text[at : at + 1] == "]"
            if not closed and text[at : at + 1] != ",":
                raise json.JSONDecodeError("Expecting ',' or ']'", text, at)
            at = at if closed else _skip(text, at + 1)
        if _skip(text, at + 1) < len(text):
            raise json.JSONDecodeError("Extra data", text, _skip(text, at + 1))
    except json.JSONDecodeError as error:
        yield error.pos, _broken(error)
    except Refused as refused:
        yield at, refused
    except RecursionError:
        yield at, _too_deep()
    except ValueError:
        yield at, _too_many_digits()


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _as_object(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise Refused("not-an-object", f"a row is {a_type(value)}, not an object", _ONE_OBJECT)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        double = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise Refused("duplicate-key", f"key '{one_line(double, 40)}' appears twice", "keep one")
    return value


def _constant(name: str) -> Any:
    raise Refused("not-a-number", f"{name} is not JSON", "use a number, null or a string")


def _check(value: Any, depth: int = 0) -> None:
    """Refuse strings that are not text, and nesting deeper than any format has."""
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, (dict, list)):
        if depth > MAX_DEPTH:
            raise _too_deep()
        for entry in chain(value, value.values()) if isinstance(value, dict) else value:
            _check(entry, depth + 1)


def _check_text(value: str) -> None:
    if value.isascii():
        bad = "\0" in value
    else:
        bad = "\0" in value or any("\ud800" <= c <= "\udfff" for c in value)
    if not bad:
        return
    at = next(i for i, c in enumerate(value) if c == "\0" or "\ud800" <= c <= "\udfff")
    if value[at] == "\0":
        raise Refused("nul", f"NUL character at character {at + 1} of a string", "remove it")
    what = f"lone surrogate \\u{ord(value[at]):04x} at character {at + 1} of a string"
    raise Refused("surrogate", what, "use the complete pair or the character itself")


def _too_deep() -> Refused:
    return Refused("too-deep", f"nested deeper than {MAX_DEPTH} levels", "flatten the row")


def _too_many_digits() -> Refused:
    return Refused("number", "a number with too many digits", "write it as a string")


def _broken(error: json.JSONDecodeError, hint: str = "") -> Refused:
    what = error.msg[:1].lower() + error.msg[1:]
    return Refused("broken-json", f"invalid JSON at column {error.colno}: {what}", hint)


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant)
