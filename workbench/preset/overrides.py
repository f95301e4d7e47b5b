"""`--set KEY=VALUE`: one value put into a parsed preset before it is checked.

KEY is dotted; a table of a list is called by its index or its name, and the index one past the
end adds a table. VALUE is TOML; for a key that takes text the quotes may be left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from workbench.core.errors import UserError
from workbench.core.section import InvalidValue
from workbench.core.text import did_you_mean, one_line, quantity
from workbench.objectives import DEFAULT_OBJECTIVE
from workbench.preset.fields import FieldInfo, field_of
from workbench.preset.rules import Path
from workbench.preset.schema import Preset, Section
from workbench.preset.toml_text import parse_value
from workbench.preset.validation_errors import unknown_key

FLAG = "--set"


def place(key: str) -> str:
    """How an error names a flag: it stands where a file name would."""
    return f"{FLAG} {one_line(key, 120)}"


def apply(
    given: dict[str, Any], overrides: Sequence[str]
) -> tuple[dict[Path, str], list[UserError]]:
    """Put every override into `given`; returns the paths set, with their keys as typed, and faults.

    Later flags win. Where the file is broken above the key, its own fault is the one to tell.
    """
    typed: dict[Path, str] = {}
    faults: list[UserError] = []
    for override in overrides:
        key, equals, raw = override.partition("=")
        key = key.strip()
        try:
            if not equals or not key:
                raise InvalidValue(
                    f"'{one_line(override)}' has no key or no '='", "use SECTION.KEY=VALUE"
                )
            if path := _set(given, Preset, key.split("."), raw.strip()):
                typed[path] = key
        except InvalidValue as refused:
            where = place(key) if equals and key else FLAG
            faults.append(UserError(refused.message, path=where, hint=refused.hint))
    return typed, faults


def _set(node: Any, section: type[Section], parts: list[str], raw: str) -> Path:
    """Set what `parts` name below `node`; its path, or () where the file has no table there."""
    name, *rest = parts
    field = field_of(section, name)
    if field is None:
        fault = unknown_key(section, (name,))
        raise InvalidValue(f"{fault.message} '{one_line(name, 40)}'", fault.hint)
    if not isinstance(node, dict):
        return ()
    if not rest:
        node[name] = _value(field, raw)
        return (name,)
    if field.kind == "map":
        return (name,) if _set_in_map(node, field, ".".join(rest), raw) else ()
    if field.section is None:
        raise InvalidValue(f"'{name}' has no keys of its own", f"it takes {field.allowed}")
    if field.kind == "table":
        return _below((name,), _set(node.setdefault(name, {}), field.section, rest, raw))
    return _set_in_list(node.setdefault(name, []), field, rest, raw)


def _set_in_map(node: dict[str, Any], field: FieldInfo, name: str, raw: str) -> bool:
    """Set a text of a table whose names are the person's own; whether there is such a table."""
    names = node.setdefault(field.key, {})
    if isinstance(names, dict):
        names[name] = _value(replace(field, kind="text"), raw)
    return isinstance(names, dict)


def _set_in_list(tables: Any, field: FieldInfo, parts: list[str], raw: str) -> Path:
    """The same below one table of a list."""
    assert field.section is not None
    if not isinstance(tables, list):
        return ()
    index = _index(tables, parts[0], field.key)
    if not parts[1:]:
        raise InvalidValue("this is a table, not a key", "set one of the keys below it")
    below = _set(tables[index], field.section, parts[1:], raw)
    return _below((field.key, index), below)


def _below(above: Path, path: Path) -> Path:
    return (*above, *path) if path else ()


def _index(tables: list[Any], word: str, name: str) -> int:
    """The index that `word`, a number or a name, means; one past the end adds a table."""
    names = [_name_of(table, name) for table in tables]
    if word in names:
        return names.index(word)
    if not (word.isascii() and word.isdigit() and len(word) < 10):
        raise InvalidValue(f"{name} has no table named '{one_line(word)}'", _known(word, names))
    if int(word) > len(tables):
        hint = f"use an index from 0 to {len(tables)}; the highest adds a table"
        raise InvalidValue(
            f"{name} has {quantity(len(tables), 'table')}; index {word} is too high", hint
        )
    if int(word) == len(tables):
        tables.append({})
    return int(word)


def _name_of(table: Any, list_name: str) -> str:
    """The name of a table; a stage without one is called by its objective, as the schema does."""
    if not isinstance(table, dict):
        return ""
    default = table.get("objective", DEFAULT_OBJECTIVE) if list_name == "train" else ""
    name = table.get("name", default)
    return name if isinstance(name, str) else ""


def _known(word: str, names: list[str]) -> str:
    known = [name for name in names if name]
    return did_you_mean(word, known) if known else "use an index, counted from 0"


def _value(field: FieldInfo, raw: str) -> Any:
    if field.kind == "table":
        raise InvalidValue("this is a table, not a key", "set one of the keys below it")
    if any("\ud800" <= c <= "\udfff" for c in raw):
        raise InvalidValue("the value is not UTF-8", "encode it as UTF-8")
    try:
        value = parse_value(raw)
    except (ValueError, RecursionError) as error:
        if raw[:1] in ("[", "{", '"', "'"):
            raise InvalidValue(f"{one_line(raw, 60)} is not TOML", one_line(str(error))) from None
        return raw
    is_text = field.kind == "text" or (field.kind == "choice" and True not in field.choices)
    return raw if is_text and not isinstance(value, str) else value
