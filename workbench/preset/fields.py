"""What a form, a reference or an error message needs to know of a key, read from the schema.

A key is named by its dotted path without indexes: `data.source.path`, `train.adapter.rank`. A
section is named the same way; `""` is the preset itself.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo as PydanticField

from workbench.core.errors import UserError
from workbench.core.text import did_you_mean
from workbench.preset.schema import Preset, Section
from workbench.preset.toml_text import toml_value

Kind = Literal[
    "text",
    "integer",
    "number",
    "switch",
    "choice",
    "list",
    "choice or list",
    "map",
    "table",
    "tables",
]
_PLAIN: dict[Any, Kind] = {str: "text", int: "integer", float: "number", bool: "switch"}
_NOUNS = {"text": "text", "integer": "a whole number", "number": "a number"}


@dataclass(frozen=True)
class FieldInfo:
    """One key: its type, range, choices, default and meaning.

    `choices` are the values of a choice, or the only items a list may have. `section` is the
    model of a table (`table`) or of each table of a list (`tables`).
    """

    key: str
    attribute: str
    kind: Kind
    description: str
    default: Any
    choices: tuple[Any, ...] = ()
    items: tuple[Kind, ...] = ()
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    length: int | None = None
    section: type[Section] | None = None

    @property
    def is_table(self) -> bool:
        """Whether the key holds other keys, and no value of its own."""
        return self.section is not None

    @property
    def meaning(self) -> str:
        """The first sentence of the description: what a comment beside the value says."""
        return self.description.split(". ")[0].rstrip(".")

    @property
    def allowed(self) -> str:
        """What the key takes, for a person: `a whole number from 1 to 4096`."""
        match self.kind:
            case "table":
                return "a table"
            case "tables":
                return "a list of tables"
            case "map":
                return "a table of strings"
            case "switch":
                return "true or false"
            case "choice":
                return _one_of(self.choices)
            case "choice or list":
                return f"{_one_of(self.choices)}, or {_list_of(self.items)}"
            case "list" if self.choices:
                return f"a list of {_one_of(self.choices)}"
            case "list":
                return _list_of(self.items, self.length) + self.range
        return _NOUNS[self.kind] + self.range

    @property
    def range(self) -> str:
        """The bounds of a number: ` from 1 to 4096`, `, above 0`; empty where there are none."""
        if self.at_least is not None and self.at_most is not None:
            return f" from {_plain(self.at_least)} to {_plain(self.at_most)}"
        low = f"above {_plain(self.above)}" if self.above is not None else ""
        low = f"at least {_plain(self.at_least)}" if self.at_least is not None else low
        high = f"below {_plain(self.below)}" if self.below is not None else ""
        high = f"at most {_plain(self.at_most)}" if self.at_most is not None else high
        return "".join(f", {bound}" for bound in (low, high) if bound)


def fields(section: str | type[Section] = "") -> list[FieldInfo]:
    """The keys of a section in the order of the schema; `fields("train.adapter")`.

    Raises UserError for a section that does not exist.
    """
    return list(_fields(section_of(section) if isinstance(section, str) else section))


def section_of(name: str) -> type[Section]:
    """The model of the section called `name` ("" is the preset). Raises UserError if none is."""
    known: dict[str, type[Section]] = dict(sections())
    if name not in known:
        raise UserError(f"no section '{name}'", hint=did_you_mean(name, filter(None, known)))
    return known[name]


def sections() -> Iterator[tuple[str, type[Section]]]:
    """Every section, outermost first: `("", Preset)`, `("model", Model)`, ..."""
    yield "", Preset
    yield from _below("", Preset)


def field_of(section: type[Section], key: str) -> FieldInfo | None:
    """The field of `section` that TOML calls `key`, or None."""
    return next((field for field in fields(section) if field.key == key), None)


def leaves(
    section: Section, above: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], FieldInfo, Any]]:
    """Every value of a preset with its path, lists of tables by index: `("train", 0, "name")`.

    An empty list of tables is a leaf of its own: it says that there is none.
    """
    for field in fields(type(section)):
        value, path = getattr(section, field.attribute), (*above, field.key)
        if field.kind == "table":
            yield from leaves(value, path)
        elif field.kind == "tables" and value:
            for index, item in enumerate(value):
                yield from leaves(item, (*path, index))
        else:
            yield path, field, value


@cache
def _fields(model: type[Section]) -> tuple[FieldInfo, ...]:
    return tuple(_describe(name, field) for name, field in model.model_fields.items())


def _below(prefix: str, model: type[Section]) -> Iterator[tuple[str, type[Section]]]:
    for field in fields(model):
        if field.section is not None:
            name = f"{prefix}{field.key}"
            yield name, field.section
            yield from _below(f"{name}.", field.section)


def _describe(name: str, field: PydanticField) -> FieldInfo:
    kind, choices, items, section = _type(field.annotation)
    return FieldInfo(
        key=field.alias or name,
        attribute=name,
        kind=kind,
        description=field.description or "",
        default=field.default,
        choices=choices,
        items=items,
        section=section,
        **_bounds([*field.metadata, *_item_metadata(field.annotation)]),
    )


def _bounds(metadata: list[Any]) -> dict[str, Any]:
    """Bounds of a number or of a list's numbers, and the length a list must have."""
    found: dict[str, Any] = {}
    for item in metadata:
        match item:
            case annotated_types.MaxLen(length):
                found["length"] = length
            case annotated_types.Ge(bound):
                found["at_least"] = bound
            case annotated_types.Gt(bound):
                found["above"] = bound
            case annotated_types.Le(bound):
                found["at_most"] = bound
            case annotated_types.Lt(bound):
                found["below"] = bound
    return found


def _item_metadata(annotation: Any) -> list[Any]:
    """What `Annotated` says of the items of a list."""
    item = next(iter(get_args(annotation)), None)
    if get_origin(annotation) is not list or get_origin(item) is not Annotated:
        return []
    fields = [note for note in get_args(item)[1:] if isinstance(note, PydanticField)]
    return [constraint for field in fields for constraint in field.metadata]


def _type(
    annotation: Any,
) -> tuple[Kind, tuple[Any, ...], tuple[Kind, ...], type[Section] | None]:
    """Kind, choices, kinds of items and section of a type annotation."""
    annotation = _bare(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "choice", args, (), None
    if origin in (Union, types.UnionType):
        (_, choices, _, _), (kind, _, items, _) = (_type(arg) for arg in args)
        if kind == "switch":
            return "choice", (*choices, True, False), (), None
        return "choice or list", choices, items, None
    if origin is list:
        return _list_type(_bare(args[0]))
    if origin is dict:
        return "map", (), (), None
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return "table", (), (), annotation
    return _PLAIN[annotation], (), (), None


def _list_type(
    item: Any,
) -> tuple[Kind, tuple[Any, ...], tuple[Kind, ...], type[Section] | None]:
    if get_origin(item) is Literal:
        return "list", get_args(item), ("text",), None
    if get_origin(item) in (Union, types.UnionType):
        return "list", (), tuple(_PLAIN[_bare(arg)] for arg in get_args(item)), None
    if issubclass(item, Section):
        return "tables", (), (), item
    return "list", (), (_PLAIN[item],), None


def _bare(annotation: Any) -> Any:
    """The type inside `Annotated`."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _one_of(choices: tuple[Any, ...]) -> str:
    shown = [toml_value(choice) for choice in choices]
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + f" or {shown[-1]}"


def _list_of(items: tuple[Kind, ...], length: int | None = None) -> str:
    plural = {"text": "strings", "integer": "whole numbers", "number": "numbers"}
    return (
        f"a list of {length} " * bool(length)
        + "a list of " * (not length)
        + " or ".join(plural[item] for item in items)
    )


def _plain(number: float | None) -> str:
    """A bound as a person writes it: `1024`, `0.5`, `1e-08`."""
    assert number is not None
    return str(int(number)) if number == int(number) else str(number)
