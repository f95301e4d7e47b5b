"""A preset while it is edited: the text is the truth, every change is a change of that text.

Comments and order stay, because a value is put into the text where it stands. A value is read as
`--set KEY=VALUE` reads it and judged as loading judges it, so the form can never say otherwise.
"""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.core.errors import UserError
from workbench.preset import overrides, rules, toml_edit
from workbench.preset.fields import leaves
from workbench.preset.loader import (
    LoadedPreset,
    check,
    dotted,
    parse,
    preset_file,
    read_text,
    read_toml,
)
from workbench.preset.rules import Fault
from workbench.preset.schema import Preset
from workbench.preset.toml_text import Layout, toml_value
from workbench.preset.validation_errors import value_at

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class DraftCheck:
    """A text, read and checked. `trouble` is set, and the rest empty, where it is no TOML."""

    given: dict[str, Any] = field(default_factory=dict)
    places: Layout = field(default_factory=Layout)
    preset: Preset = field(default_factory=Preset)
    faults: tuple[Fault, ...] = ()
    trouble: UserError | None = None

    def values(self) -> dict[KeyPath, Any]:
        """Every key with its value: what the text says, also where that is refused."""
        found = {path: value for path, _, value in leaves(self.preset)}
        return {path: self.said(path, value) for path, value in found.items()}

    def said(self, path: KeyPath, otherwise: Any = None) -> Any:
        """The value that the text itself gives `path`, or `otherwise`."""
        try:
            return value_at(self.given, path)
        except (KeyError, IndexError, TypeError):
            return otherwise

    def says(self, path: KeyPath) -> bool:
        """Whether the text names the key."""
        nothing = object()
        return self.said(path, nothing) is not nothing

    def faults_at(self, path: KeyPath) -> list[str]:
        """What is wrong with the key, or with an item of it."""
        found = [fault for fault in self.faults if fault.path[: len(path)] == path]
        return [told(fault) for fault in found]


@dataclass(frozen=True)
class EditAttempt:
    """A value as typed: the text it would make, or why it is refused; `told` is worth knowing."""

    text: str = ""
    refused: str = ""
    told: str = ""


class Draft:
    """One preset's text with what was done to it. Made with `Draft.open`."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text = path, text
        self.now = self.on_disk = judge(text, path)
        self.saved_text = text
        self._undone: list[str] = []
        self._before: list[str] = []

    @classmethod
    def open(cls, name_or_path: str) -> Draft:
        """The preset called so. Raises UserError for a file that cannot be read."""
        path = preset_file(name_or_path).absolute()
        return cls(path, read_text(path))

    @property
    def dirty(self) -> bool:
        """Whether the text differs from the file's."""
        return self.text != self.saved_text

    @property
    def can_undo(self) -> bool:
        return bool(self._before)

    @property
    def can_redo(self) -> bool:
        return bool(self._undone)

    def attempt(self, path: KeyPath, typed: str) -> EditAttempt:
        """What would come of typing this for `path`; nothing is changed.

        A value that its key does not take is refused. One that only does not go with another
        key is told: the other may be changed next.
        """
        given = copy.deepcopy(self.now.given)
        key = dotted(path)
        paths, errors = overrides.apply(given, [f"{key}={typed}"])
        if errors:
            return EditAttempt(refused=_words(errors[0].message, errors[0].hint))
        value = value_at(given, path)
        return self._judged(given, path, lambda: toml_edit.set_value(self.text, key, value))

    def without(self, path: KeyPath) -> EditAttempt:
        """What would come of removing the key from the text, so that its default holds."""
        try:
            text = toml_edit.remove_key(self.text, dotted(path))
        except UserError as error:
            return EditAttempt(refused=_words(error.message, error.hint))
        return self._judged(tomllib.loads(text), path, lambda: text)

    def _judged(self, given: dict[str, Any], path: KeyPath, edit: Callable[[], str]) -> EditAttempt:
        """The edit that makes the text say `given`, or why the key at `path` is refused."""
        preset, faults = check(given)
        combined = set(rules.faults(preset))
        own = [fault for fault in faults if fault.path[: len(path)] == path]
        refused = [told(fault) for fault in own if fault not in combined]
        if refused:
            return EditAttempt(refused=refused[0])
        try:
            text = edit()
        except UserError as error:
            return EditAttempt(refused=_words(error.message, error.hint))
        return EditAttempt(text, told=next(map(told, own), ""))

    def change(self, text: str) -> None:
        """Take another text; the old one can be had back."""
        if text != self.text:
            self._before.append(self.text)
            self._undone.clear()
            self._take(text)

    def undo(self) -> None:
        """Back to the text before the last change."""
        self._undone.append(self.text)
        self._take(self._before.pop())

    def redo(self) -> None:
        """The change that was taken back, again."""
        self._before.append(self.text)
        self._take(self._undone.pop())

    def save(self, path: Path | None = None) -> None:
        """Write the text to its file, or to another, which is then its file."""
        toml_edit.save(path or self.path, self.text)
        self.path = path or self.path
        self._saved(self.text)

    def changed_on_disk(self) -> str | None:
        """The file's text when somebody else has changed it, else None."""
        try:
            text = read_text(self.path)
        except UserError:
            return None
        return text if text != self.saved_text else None

    def reload(self, text: str) -> None:
        """Take the file's text for both: what was edited here can be had back by `undo`."""
        self.change(text)
        self._saved(text)

    def loaded(self) -> LoadedPreset:
        """The preset as a run would have it. Raises UserErrors while there are faults."""
        return parse(self.text, self.path)

    def changed(self) -> list[KeyPath]:
        """The keys whose value is not that of the file, in order."""
        before = self.on_disk.values()
        return [
            path
            for path, value in self.now.values().items()
            if (before[path] != value if path in before else self.now.says(path))
        ]

    def overrides(self) -> list[str]:
        """The `KEY=VALUE` flags that make the preset of this text out of the file."""
        values = self.now.values()
        return [f"{dotted(path)}={toml_value(values[path])}" for path in self.changed()]

    def _take(self, text: str) -> None:
        self.text, self.now = text, judge(text, self.path)

    def _saved(self, text: str) -> None:
        self.saved_text, self.on_disk = text, judge(text, self.path)


def judge(text: str, path: Path) -> DraftCheck:
    """Read and check a text; never raises for what it holds."""
    try:
        given, places = read_toml(text, path)
    except UserError as error:
        return DraftCheck(trouble=error)
    preset, faults = check(copy.deepcopy(given))
    return DraftCheck(given, places, preset, tuple(faults))


def told(fault: Fault) -> str:
    """A fault in one line, without its key."""
    return _words(fault.message, fault.hint)


def _words(message: str, hint: str) -> str:
    return f"{message} ({hint})" if hint else message
