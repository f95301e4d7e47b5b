"""What a form shows of a draft: its sections as a tree, and the keys of one section."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from workbench.core.text import one_line
from workbench.preset.fields import FieldInfo, field_of, fields, leaves
from workbench.preset.loader import dotted
from workbench.preset.schema import Preset, Section
from workbench.preset.toml_text import parse_value, toml_value
from workbench.tui.panes.preset.draft import Draft, KeyPath

NEW_TABLES = {"data.source": "path", "train": "objective", "evaluate.guard": "prompts"}


@dataclass(frozen=True)
class Branch:
    """A section: `path` () is the preset itself, `depth` how far it is indented."""

    path: KeyPath
    depth: int
    title: str


@dataclass(frozen=True)
class Entry:
    """One key of a section: its value, who set it, and what is wrong with it."""

    path: KeyPath
    field: FieldInfo
    value: Any
    said: bool
    on_disk: Any
    new: bool
    faults: tuple[str, ...]

    @property
    def key(self) -> str:
        return dotted(self.path)

    @property
    def changed(self) -> bool:
        """Whether the file has another value."""
        return self.said if self.new else self.value != self.on_disk

    @property
    def shown(self) -> str:
        """The value as TOML."""
        return toml_value(self.value)

    @property
    def typed(self) -> str:
        """The value as one would type it: text without quotes where that means the same."""
        if isinstance(self.value, str) and self.field.kind in ("text", "choice", "choice or list"):
            return self.value if _plain(self.value) else toml_value(self.value)
        return toml_value(self.value)


def branches(draft: Draft) -> list[Branch]:
    """All sections of the preset as it is now, outermost first."""
    return [Branch((), 0, "preset"), *_below(draft.now.preset, (), 0)]


def entries(draft: Draft, section: KeyPath) -> list[Entry]:
    """The keys of a section that hold a value."""
    before = draft.on_disk.values()
    wanted = len(section)
    return [
        _entry(draft, path, field, value, before)
        for path, field, value in leaves(draft.now.preset)
        if path[:wanted] == section and len(path) == wanted + 1 and not field.is_table
    ]


def section_of_fault(path: KeyPath) -> tuple[KeyPath, KeyPath]:
    """(the section, the key) that a fault's path is in: it may end at an item of a list."""
    model: type[Section] = Preset
    section: KeyPath = ()
    for part in path:
        if isinstance(part, int):
            if len(section) and section[-1] != part:
                section = (*section, part)
            continue
        field = field_of(model, part)
        if field is None or field.section is None:
            return section, (*section, part)
        model, section = field.section, (*section, part)
    return section, path


def choices_of(field: FieldInfo) -> list[str]:
    """What the key may be set to, as typed; [] where anything of its kind will do."""
    if field.kind == "switch":
        return ["true", "false"]
    if field.kind in ("choice", "choice or list"):
        return [one if isinstance(one, str) else toml_value(one) for one in field.choices]
    return []


def summary(field: FieldInfo) -> str:
    """`a whole number from 1 to 4096, default 16`."""
    return f"{field.allowed}, default {toml_value(field.default)}"


def _entry(
    draft: Draft, path: KeyPath, field: FieldInfo, value: Any, before: dict[KeyPath, Any]
) -> Entry:
    return Entry(
        path,
        field,
        draft.now.said(path, value),
        draft.now.says(path),
        before.get(path),
        path not in before,
        tuple(draft.now.faults_at(path)),
    )


def _below(section: Section, above: KeyPath, depth: int) -> Iterator[Branch]:
    for field in fields(type(section)):
        value, path = getattr(section, field.attribute), (*above, field.key)
        if field.kind == "table":
            yield Branch(path, depth, field.key)
            yield from _below(value, path, depth + 1)
        elif field.kind == "tables":
            for number, item in enumerate(value):
                name = one_line(str(getattr(item, "name", "")), 20)
                title = f"{field.key} {number} {name}".rstrip()
                yield Branch((*path, number), depth, title)
                yield from _below(item, (*path, number), depth + 1)


def _plain(text: str) -> bool:
    """Whether the text means itself when it is typed without quotes."""
    if not text or text != text.strip() or not text.isprintable():
        return False
    try:
        return not isinstance(parse_value(text), str)
    except ValueError:
        return text[:1] not in ("[", "{", '"', "'")
