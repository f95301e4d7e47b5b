"""Change one value in a preset's text and leave all the rest of it alone: comments, order, spaces.

Invariant: the text returned says exactly what the old one said, but for the one key; an edit that
would not come out so is refused.
"""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

from workbench.core import files
from workbench.core.errors import UserError
from workbench.preset.toml_text import Layout, layout, toml_value
from workbench.preset.toml_text import Path as KeyPath


def set_value(text: str, key: str, value: Any) -> str:
    """`text`, valid TOML, with `key` (`train.0.adapter.rank`) set to `value`.

    Tables that are missing are added; an index one past the end adds a table to its list. Comments
    inside a list that is replaced as a whole go with it; all others stay. Whether
    the value is allowed is for `loader.parse` to say. Raises UserError where the text has no place
    for the key.
    """
    plain = text.replace("\r\n", "\n")
    path = tuple(int(part) if part.isdigit() else part for part in key.split("."))
    expected = _with(tomllib.loads(plain), path, value, key)
    edited = _splice(plain, path, value)
    if not _says(edited, expected):
        raise UserError(
            f"{key} cannot be set automatically in this file layout", hint="edit the file"
        )
    return edited.replace("\n", "\r\n") if "\r\n" in text else edited


def save(path: Path, text: str) -> None:
    """Write an edited preset to its file, whole or not at all."""
    files.write_atomic(path, text)


def _splice(text: str, path: KeyPath, value: Any) -> str:
    places = layout(text)
    if path in places.values:
        start, end = places.values[path]
        return text[:start] + toml_value(value) + text[end:]
    end = len(path) - 1
    while end and path[:end] not in places.rooms and path[:end] not in places.values:
        end -= 1
    above, below = path[:end], path[end:]
    room = places.rooms.get(above)
    if above in places.values:
        return _inside(text, places, above, _nested(below, value))
    if room is not None and room.prefix:
        return _line(text, room.at, f"{room.prefix}{_dotted(below)} = {toml_value(value)}")
    if len(below) == 1:
        return _line(text, room.at if room else _first_room(text), _pair(below[0], value))
    return _table(text, places, path, value)


def _inside(text: str, places: Layout, above: KeyPath, item: Any) -> str:
    """Add to the inline table or array at `above`, behind what it holds already."""
    start, _ = places.values[above]
    if isinstance(item, dict):
        ((key, value),) = item.items()
        added, whole = _pair(key, value), toml_value(item)
    else:
        added, whole = toml_value(item[0]), toml_value(item)
    room = places.rooms.get(above)
    if room is None:
        return text[: start + 1] + whole[1:-1] + text[start + 1 :]
    return f"{text[: room.at]}, {added}{text[room.at :]}"


def _table(text: str, places: Layout, path: KeyPath, value: Any) -> str:
    """Add a table with one key: behind its sisters or its mother, else at the end of the text."""
    table = path[:-1]
    new = [n for n, part in enumerate(table) if isinstance(part, int)]
    new = [n for n in new if table[: n + 1] not in places.lines]  # tables of lists to be added
    headers = [f"[[{_dotted(table[:n])}]]" for n in new]
    if not isinstance(table[-1], int):
        headers.append(f"[{_dotted(table)}]")
    family = table[: new[0]] if new else table
    while family and not _rooms_below(places, family):
        family = family[:-1]
    at = max(_rooms_below(places, family)) if family else len(text)
    gap = "\n" if text[:at].strip() else ""
    return _line(text, at, gap + "\n".join([*headers, _pair(path[-1], value)]))


def _rooms_below(places: Layout, family: KeyPath) -> list[int]:
    return [room.at for path, room in places.rooms.items() if path[: len(family)] == family]


def _first_room(text: str) -> int:
    """Where a first key of the top goes: before the first table and the comments right above it."""
    lines = text.splitlines(keepends=True)
    first = next((n for n, line in enumerate(lines) if line.lstrip().startswith("[")), len(lines))
    while 0 < first < len(lines) and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return sum(map(len, lines[:first]))


def _line(text: str, at: int, line: str) -> str:
    """`text` with a line of its own at the beginning of a line, or at the end of the text."""
    gap = "" if text[:at].endswith("\n") or not text[:at] else "\n"
    return f"{text[:at]}{gap}{line}\n{text[at:]}"


def _pair(key: str | int, value: Any) -> str:
    return f"{key} = {toml_value(value)}"


def _dotted(path: KeyPath) -> str:
    return ".".join(part for part in path if isinstance(part, str))


def _nested(path: KeyPath, value: Any) -> Any:
    """`value` at `path` below nothing: a table for each key, a list of one for each index."""
    for part in reversed(path):
        value = [value] if isinstance(part, int) else {part: value}
    return value


def _with(given: dict[str, Any], path: KeyPath, value: Any, key: str) -> dict[str, Any]:
    """A copy of parsed TOML with `value` at `path`."""
    result: Any = copy.deepcopy(given)
    node = result
    for part, following in zip(path, [*path[1:], None], strict=True):
        new = value if following is None else [] if isinstance(following, int) else {}
        if isinstance(node, list) and isinstance(part, int) and part <= len(node):
            node[part:] = [*node[part:], new] if part == len(node) else node[part:]
            node[part] = new if following is None else node[part]
        elif isinstance(node, dict) and isinstance(part, str):
            node[part] = new if following is None else node.get(part, new)
        else:
            raise UserError(f"{key} cannot be added", hint="use an index at most one past the end")
        node = node[part]
    return dict(result)


def _says(text: str, expected: dict[str, Any]) -> bool:
    try:
        return tomllib.loads(text) == expected
    except ValueError:
        return False
