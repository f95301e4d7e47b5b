"""Change one value in a preset's text and leave all the rest of it alone: comments, order, spaces.

Invariant: the text returned says exactly what the old one said, but for the one key; an edit that
would not come out so is refused.
"""

from __future__ import annotations

import copy
import pathlib
import tomllib
from collections.abc import Callable
from typing import Any

from workbench.core import files
from workbench.core.errors import UserError
from workbench.preset import toml_tables
from workbench.preset.toml_tables import TableText
from workbench.preset.toml_text import Path

Edit = Callable[[list[TableText]], None]


def set_value(text: str, key: str, value: Any) -> str:
    """`text`, valid TOML, with `key` (`train.0.adapter.rank`) set to `value`.

    Tables that are missing are added; an index one past the end adds a table to its list. Comments
    inside a list that is replaced as a whole go with it; all others stay. Whether
    the value is allowed is for `loader.parse` to say. Raises UserError where the text has no place
    for the key.
    """
    path = _path(key)
    plain = text.replace("\r\n", "\n")
    expected = _with(tomllib.loads(plain), path, value, key)
    return _edited(text, key, [expected], lambda tables: toml_tables.put(tables, path, value))


def remove_key(text: str, key: str) -> str:
    """`text`, valid TOML, without `key`; the comment on its line goes with it, all others stay.

    Returns `text` itself if it lacks the key. Raises UserError where the layout does not let the
    key alone be removed.
    """
    path = _path(key)
    given = tomllib.loads(text)
    nodes: list[Any] = [given]
    try:
        for part in path[:-1]:
            nodes.append(nodes[-1][part])
        del nodes[-1][path[-1]]
    except (KeyError, IndexError, TypeError):
        return text
    expected = [copy.deepcopy(given)]
    for part, table, inner in zip(path[-2::-1], nodes[-2::-1], nodes[::-1], strict=False):
        if inner or isinstance(part, int):
            break
        del table[part]  # the text may have the table in the names of its keys alone
        expected.append(copy.deepcopy(given))
    return _edited(text, key, expected, lambda tables: toml_tables.remove(tables, path))


def save(path: pathlib.Path, text: str) -> None:
    """Write an edited preset to its file, whole or not at all."""
    files.write_atomic(path, text)


def _path(key: str) -> Path:
    return tuple(int(part) if part.isdigit() else part for part in key.split("."))


def _edited(text: str, key: str, expected: list[dict[str, Any]], edit: Edit) -> str:
    """`text` after `edit`. Raises UserError unless it then says one of what is expected."""
    from tomlkit.exceptions import TOMLKitError

    plain = text.replace("\r\n", "\n")
    end = "" if plain.endswith("\n") or not plain else "\n"
    try:
        tables = toml_tables.split(plain + end)
        edit(tables)
        edited = toml_tables.join(tables)
    except (TOMLKitError, ValueError, TypeError, LookupError) as error:
        raise _not_in_this_layout(key) from error
    if _read(edited) not in expected:
        raise _not_in_this_layout(key)
    edited = edited.removesuffix(end)
    return edited.replace("\n", "\r\n") if "\r\n" in text else edited


def _not_in_this_layout(key: str) -> UserError:
    return UserError(f"{key} cannot be set automatically in this file layout", hint="edit the file")


def _with(given: dict[str, Any], path: Path, value: Any, key: str) -> dict[str, Any]:
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


def _read(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except ValueError:
        return None
