"""A preset written out for people: as TOML with every default, and as a list of who set what."""

from __future__ import annotations

from collections.abc import Iterator

from workbench.preset.fields import FieldInfo, fields, leaves
from workbench.preset.loader import LoadedPreset, dotted
from workbench.preset.schema import Preset, Section
from workbench.preset.toml_text import toml_value

WIDTH = 100


def to_toml(preset: Preset) -> str:
    """The preset as TOML, every default written out and explained; it loads back equal."""
    return "\n".join(_table(preset, "")).strip() + "\n"


def explain(loaded: LoadedPreset) -> list[tuple[str, str, str]]:
    """Every key of the preset with its value in TOML and its origin: default, preset or flag."""
    return [
        (key, toml_value(value), loaded.origin[key])
        for key, value in ((dotted(path), value) for path, _, value in leaves(loaded.preset))
    ]


def _table(section: Section, name: str) -> Iterator[str]:
    """The lines of a table: its own values first, for TOML's sake, then the tables below it."""
    inner = []
    for field in fields(type(section)):
        value = getattr(section, field.attribute)
        if field.is_table and value != []:
            inner.append((field, value))
        else:
            yield from _pair(field, toml_value(value))
    for field, value in inner:
        below = f"{name}.{field.key}".strip(".")
        for item in value if isinstance(value, list) else [value]:
            yield ""
            yield f"[[{below}]]" if isinstance(value, list) else f"[{below}]"
            yield from _table(item, below)


def _pair(field: FieldInfo, value: str) -> Iterator[str]:
    """`key = value  # meaning`, the meaning above where the line would be too long."""
    pair = f"{field.key} = {value}"
    line = f"{pair:<32}  # {field.meaning}"
    if len(line) <= WIDTH:
        yield line
    else:
        yield f"# {field.meaning}"
        yield pair
