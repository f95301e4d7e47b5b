"""What the schema holds against a preset, in words for the person who wrote it.

pydantic finds the faults; this module says each of them once, at the key as TOML spells it, with
the value that stands there and the values that are allowed.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from workbench.core.section import InvalidValue
from workbench.core.text import did_you_mean, one_line
from workbench.preset.fields import FieldInfo, Kind, field_of, fields, sections
from workbench.preset.rules import Fault, Path
from workbench.preset.schema import Preset, Section
from workbench.preset.toml_text import toml_value

_TYPES: tuple[tuple[type, str, tuple[Kind, ...]], ...] = (
    (bool, "a boolean", ("switch",)),
    (str, "a string", ("text", "choice", "choice or list")),
    (int, "a whole number", ("integer", "number")),
    (float, "a decimal number", ("number",)),
    (list, "a list", ("list", "tables", "choice or list")),
    (dict, "a table", ("table", "map")),
)


def validation_errors(error: ValidationError, given: dict[str, Any]) -> list[Fault]:
    """One fault for every key or list item that the schema refuses in `given`."""
    found: dict[Path, Fault] = {}
    for detail in error.errors():
        fault = _complaint(detail, given)
        found.setdefault(fault.path, fault)
    with_items = {path[:-1] for path in found if isinstance(path[-1], int)}
    return [fault for path, fault in found.items() if path not in with_items]


def unknown_key(section: type[Section], path: Path) -> Fault:
    """The fault of a key that `section` does not have, with the nearest that it has."""
    key = str(path[-1])
    hint = did_you_mean(key, [field.key for field in fields(section)])
    homes = [name for name, model in sections() if field_of(model, key)]
    if homes and not hint.startswith("did"):
        hint = "it belongs in " + " or ".join(
            f"[{home}]" if home else "the top level" for home in homes
        )
    return Fault(path, "unknown key", hint)


def wrong_value(field: FieldInfo, path: Path, value: Any) -> Fault:
    """The fault of a value that `field` does not take: its type, or else its range."""
    shown = one_line(toml_value(value), 60)
    is_item = isinstance(path[-1], int) and field.kind != "tables"
    if value == "":
        return Fault(path, "is empty", f"use {field.allowed}")
    name, kinds = _type_of(value)
    if is_item and not field.choices and name != "a list":
        kinds = ("list",) if set(kinds) & set(field.items) else ()
    elif is_item and name == "a string":
        kinds = ("list",)
    elif field.kind == "tables" and isinstance(path[-1], int):
        return Fault(path, f"{shown} is {name}", f"use a [[{_home(path)}]] table")
    if field.kind not in kinds:
        return Fault(path, f"{shown} is {name}", _instead(field, path))
    if field.choices and isinstance(value, str):
        near = did_you_mean(value.lower(), [c for c in field.choices if isinstance(c, str)])
        guess = f"{near} " if near.startswith("did") else ""
        return Fault(path, f"{shown} is not allowed", f"{guess}use {field.allowed}")
    if field.kind == "map":
        return Fault(path, f"{shown} has values of another type", f"use {field.allowed}")
    if field.kind == "list" and not is_item:
        return Fault(path, f"{shown} has {len(value)} items", f"use {field.allowed}")
    return Fault(path, f"{shown} is out of range", f"use {field.allowed}")


def _complaint(detail: ErrorDetails, given: dict[str, Any]) -> Fault:
    path, section, field = _resolve(detail["loc"])
    if field is None:
        return unknown_key(section, path)
    refused = detail.get("ctx", {}).get("error")
    if isinstance(refused, InvalidValue):
        return Fault(path, refused.message, refused.hint)
    return wrong_value(field, path, value_at(given, path))


def _resolve(loc: tuple[int | str, ...]) -> tuple[Path, type[Section], FieldInfo | None]:
    """The key that pydantic's location means: it also names the branches of unions."""
    section: type[Section] = Preset
    parts = list(loc)
    path: Path = ()
    field: FieldInfo | None = None
    while parts:
        key = parts.pop(0)
        path = (*path, key)
        field = field_of(section, str(key))
        if field is None:
            break
        if field.section is None:
            items = [part for part in parts if isinstance(part, int)][:1]
            return (*path, *items), section, field
        if field.kind == "tables" and parts:
            path = (*path, parts.pop(0))
        section = field.section
    return path, section, field


def value_at(given: Any, path: Path) -> Any:
    """The value at `path` in parsed TOML; KeyError, IndexError or TypeError where none is."""
    for part in path:
        given = given[part]
    return given


def _type_of(value: Any) -> tuple[str, tuple[Kind, ...]]:
    for python, name, kinds in _TYPES:
        if isinstance(value, python):
            return name, kinds
    return "a date or time", ()


def _instead(field: FieldInfo, path: Path) -> str:
    if field.kind == "table":
        return f"write [{_home(path)}] with its keys below"
    if field.kind == "tables":
        return f"write [[{_home(path)}]] with its keys below"
    return f"use {field.allowed}"


def _home(path: Path) -> str:
    """The header of a table as TOML writes it, without indexes."""
    return ".".join(part for part in path if isinstance(part, str))
