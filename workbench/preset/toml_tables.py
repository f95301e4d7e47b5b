"""A TOML text as its tables, so that tomlkit edits the keys of one and no comment moves.

tomlkit alone puts a new key below the comment that belongs to the next table, moves the tables of
a list together, and mixes up dotted keys. Here the text is cut at its headers; tomlkit gets the
keys below one header, and a new line goes behind the last of those keys, above the comments that
follow. Joined again, all the rest of the text is what it was.

Paths are those of the parsed values: `("train", 0, "adapter", "rank")`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from workbench.preset.toml_text import Path, layout, toml_value

if TYPE_CHECKING:
    from tomlkit import TOMLDocument


@dataclass
class TableText:
    """A header and the text below it; `path` () and no header for the keys of the top."""

    path: Path
    header: str
    keys: str


def split(text: str) -> list[TableText]:
    """The tables of a valid TOML text with `\\n` line ends, in order; joined they are the text."""
    headers = layout(text).headers
    starts = [start for _, start, _ in headers] + [len(text)]
    tables = [TableText((), "", text[: starts[0]])]
    for (path, start, below), end in zip(headers, starts[1:], strict=True):
        tables.append(TableText(path, text[start:below], text[below:end]))
    return tables


def join(tables: Sequence[TableText]) -> str:
    """The text of all tables."""
    return "".join(table.header + table.keys for table in tables)


def put(tables: list[TableText], path: Path, value: Any) -> None:
    """Set the key at `path`: where it is, else below its neighbors, else in a new table."""
    import tomlkit

    table, document, nodes = _nearest(tables, path)
    below = path[len(table.path) :]
    rest = below[len(nodes) - 1 :]
    if len(rest) == 1 and _has(nodes[-1], rest[0]):
        nodes[-1][rest[0]] = tomlkit.value(toml_value(value))
    elif any(map(_is_inline, nodes)):
        _put_inline(nodes, below, value)
    elif len(nodes) > 1:
        line = next(n for n, (_, item) in enumerate(document.body) if item is nodes[1])
        _put_line(document, line + 1, below, value)
    elif len(rest) == 1:
        _put_line(document, _line_for_key(tables, table, document), rest, value)
    else:
        _put_table(tables, path, value)
        return
    table.keys = document.as_string()


def remove(tables: list[TableText], path: Path) -> None:
    """Take out the key at `path`, with the comment on its line. Raises KeyError if it is absent."""
    import tomlkit

    table, document, nodes = _nearest(tables, path)
    node, key = nodes[-1], path[-1]
    if len(table.path) + len(nodes) != len(path) or isinstance(key, int) or key not in node:
        raise KeyError(key)
    blank = node.as_string()[1:2] if _is_inline(node) else ""
    node.remove(key)
    if _is_inline(node):
        left = node.as_string()[1:-1].strip()
        blank = " " if blank == " " and left else ""
        nodes[-2][path[-2]] = tomlkit.value(f"{{{blank}{left}{blank}}}")
    table.keys = document.as_string()


def _nearest(tables: list[TableText], path: Path) -> tuple[TableText, TOMLDocument, list[Any]]:
    """The table that leads farthest along `path`, its keys, and the nodes that lead on in them."""
    import tomlkit

    found = []
    for table in tables:
        if len(table.path) < len(path) and path[: len(table.path)] == table.path:
            document = tomlkit.parse(table.keys)
            found.append((table, document, _follow(document, path[len(table.path) :])))
    return max(found, key=lambda one: len(one[0].path) + len(one[2]))


def _follow(node: Any, path: Path) -> list[Any]:
    """The longest chain of tables and lists along `path`, from `node` on, its last part left out.

    Of equally long ones, as dotted keys make them, that which has the key, or else the last.
    """
    children = _children(node, path[0]) if len(path) > 1 else ()
    chains = [_follow(child, path[1:]) for child in children]
    chains.sort(key=lambda chain: (len(chain), _has(chain[-1], path[-1])))
    return [node, *(chains[-1] if chains else [])]


def _children(node: Any, part: str | int) -> Iterator[Any]:
    """The tables and lists that `part` names; each line with a dotted key has a table."""
    from tomlkit.items import AbstractTable

    if isinstance(part, int):
        found = [node[part]] if _has(node, part) else []
    elif isinstance(node, list):
        found = []
    else:
        body = node.value.body if isinstance(node, AbstractTable) else node.body
        found = [item for key, item in body if key is not None and key.key == part]
    return (item for item in found if isinstance(item, dict | list))


def _has(node: Any, part: str | int) -> bool:
    if isinstance(part, int):
        return isinstance(node, list) and part < len(node)
    return isinstance(node, dict) and part in node


def _is_inline(node: Any) -> bool:
    from tomlkit.items import Array, InlineTable

    return isinstance(node, Array | InlineTable)


def _put_inline(nodes: list[Any], path: Path, value: Any) -> None:
    """Add to the innermost inline table or array of `nodes`, behind what it holds."""
    import tomlkit

    at = max(n for n, node in enumerate(nodes) if _is_inline(node))
    node, rest = nodes[at], path[at:]
    text: str = node.as_string()
    if isinstance(node, list):
        comma = len(node) > 0 and not _is_toml(f"{text[:-1]}, 0]")
        node.append(tomlkit.value(toml_value(_nested(rest[1:], value))))
        text = nodes[at].as_string()
        last = len(text[:-1].rstrip())
        text = f"{text[:last]}{',' * comma}{text[last:]}"
    else:
        last = len(text[:-1].rstrip())
        pair, end = _pair(rest, value), text[last:]
        text = f"{text[:last]}, {pair}{end}" if len(node) else f"{{ {pair} }}"
    nodes[at - 1][path[at - 1]] = tomlkit.value(text)


def _put_line(document: TOMLDocument, index: int, path: Path, value: Any) -> None:
    import tomlkit

    document.body.insert(index, tomlkit.parse(f"{_pair(path, value)}\n").body[0])


def _line_for_key(tables: list[TableText], table: TableText, document: TOMLDocument) -> int:
    """Below the table's last key; if it has none, below its header or above the first header."""
    keyed = [n for n, (key, _) in enumerate(document.body) if key is not None]
    if keyed or table.path:
        return keyed[-1] + 1 if keyed else 0
    lines = document.body[::-1] if len(tables) > 1 else []
    about_next = sum(1 for _ in takewhile(lambda line: line[1].as_string().strip(), lines))
    return len(document.body) - about_next


def _put_table(tables: list[TableText], path: Path, value: Any) -> None:
    """Add a table with one key: below its relatives' keys, else at the end of the text."""

    table, known = path[:-1], {one.path for one in tables}
    lists = [n + 1 for n, part in enumerate(table) if isinstance(part, int)]
    lists = [end for end in lists if table[:end] not in known]  # to be added
    headers = [f"[[{_dotted(table[:end])}]]" for end in lists]
    if not isinstance(table[-1], int):
        headers.append(f"[{_dotted(table)}]")
    family = table[: lists[0] - 1] if lists else table
    while family and not any(one.path[: len(family)] == family for one in tables):
        family = family[:-1]
    text = "\n".join([*headers, _pair(path[-1:], value), ""])
    if family:
        last = max(n for n, one in enumerate(tables) if one.path[: len(family)] == family)
        end = _end_of_keys(tables[last].keys)
    else:
        last, end = len(tables) - 1, len(tables[-1].keys)
    keys = tables[last].keys
    gap = "\n" if join(tables[:last]).strip() or (tables[last].header + keys[:end]).strip() else ""
    tables[last].keys = f"{keys[:end]}{gap}{text}{keys[end:]}"


def _end_of_keys(text: str) -> int:
    """The offset below the last key of a table's text, above the comments that follow."""
    import tomlkit

    trailing = takewhile(lambda line: line[0] is None, reversed(tomlkit.parse(text).body))
    return len(text) - sum(len(item.as_string()) for _, item in trailing)


def _pair(path: Path, value: Any) -> str:
    """`key = value`, the key dotted; from the first index on the path leads into the value."""
    keys = list(takewhile(lambda part: isinstance(part, str), path))
    return f"{_dotted(keys)} = {toml_value(_nested(path[len(keys) :], value))}"


def _dotted(path: Sequence[str | int]) -> str:
    import tomlkit

    keys = [part for part in path if isinstance(part, str)]
    return tomlkit.key(keys[0] if len(keys) == 1 else keys).as_string()


def _nested(path: Path, value: Any) -> Any:
    """`value` at `path` below nothing: a table for each key, a list of one for each index."""
    for part in reversed(path):
        value = [value] if isinstance(part, int) else {part: value}
    return value


def _is_toml(value: str) -> bool:
    try:
        tomllib.loads(f"value = {value}")
    except ValueError:
        return False
    return True
