"""Read a preset: its TOML file, the flags over it, and every error of both at once.

The only way from a file to a preset: what it returns can run as far as the text alone can tell;
what it refuses is a `UserErrors` with `file:line: section.key:` (or `--set KEY:`) before each
error. Whatever the file holds, reading its values gives values or a UserError, no other exception.
"""

from __future__ import annotations

import copy
import os
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from workbench.core.errors import UserError, UserErrors
from workbench.core.text import one_line
from workbench.preset import lookup, rules
from workbench.preset import overrides as flags
from workbench.preset.fields import leaves, sections
from workbench.preset.rules import Fault
from workbench.preset.schema import Preset
from workbench.preset.toml_text import Layout, layout
from workbench.preset.validation_errors import validation_errors, value_at

MAX_BYTES = 1 << 20
_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)$")
_AT_END = " (at end of document)"


def preset_file(name_or_path: str) -> Path:
    """The file that a preset's name or path means. Raises UserError for an unknown name."""
    looks_like_path = name_or_path.endswith(".toml") or "/" in name_or_path or "\\" in name_or_path
    if looks_like_path:
        return Path(os.path.expanduser(name_or_path))
    try:
        return lookup.find(name_or_path)
    except UserError:
        if "\0" not in name_or_path and Path(name_or_path).is_file():
            return Path(name_or_path)
        raise


def read_text(path: Path) -> str:
    """The text of a file without its byte order mark. Raises UserError if it has none."""
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UserError("file not found", path=one_line(str(path), 200)) from None
    except IsADirectoryError:
        hint = "give the .toml file of a preset"
        raise UserError("is a folder", path=path, hint=hint) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"cannot be read: {reason}", path=one_line(str(path), 200)) from None
    if len(raw) > MAX_BYTES:
        raise UserError(f"larger than {MAX_BYTES} bytes; not a preset", path=path)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        what = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        raise UserError(what, path=path, line=line, hint="save the file as UTF-8") from None


def read_toml(text: str, path: Path) -> tuple[dict[str, Any], Layout]:
    """The values of a TOML text and where each stands. Raises UserError at what is not TOML."""
    try:
        return tomllib.loads(text), layout(text.replace("\r\n", "\n"))
    except RecursionError:
        raise UserError("nested too deeply", path=path) from None
    except ValueError as error:
        message = str(error)
        found = _AT_LINE.search(message)
        line = int(found.group(1)) if found else text.count("\n") + 1
        what = _AT_LINE.sub("", message.removesuffix(_AT_END))
        what = f"invalid TOML: {one_line(what, 200)}"
        known = line if found or message.endswith(_AT_END) else None
        raise UserError(what, path=path, line=known) from None


DERIVED = {"batch_tokens": "batch_size"}  # a default that follows from another key


@dataclass(frozen=True)
class Places:
    """Where each key of a preset was set: a line of the file, or a flag."""

    file: Path
    layout: Layout = field(default_factory=Layout)
    flags: dict[rules.Path, str] = field(default_factory=dict)

    def error(self, path: rules.Path, message: str, hint: str = "") -> UserError:
        """The error of the value at `path`, with its place in front."""
        if (flag := self.flag(path)) is not None:
            return UserError(message, path=flags.place(flag), hint=hint)
        message = f"{dotted(path)}: {message}"
        return UserError(message, path=self.file, line=self.layout.line(path), hint=hint)

    def flag(self, path: rules.Path) -> str | None:
        """The flag that set the value at `path`, or a list around it."""
        ends = range(len(path), 0, -1)
        return next((self.flags[path[:end]] for end in ends if path[:end] in self.flags), None)


@dataclass(frozen=True)
class LoadedPreset:
    """A preset, the file it came from, and for every key who set it.

    `origin` maps dotted keys, tables of lists by index (`data.source.0.path`), to "default",
    "preset" or "flag". `text` is the file's, without its byte order mark,
    for `toml_edit.set_value`.
    """

    preset: Preset
    path: Path
    text: str
    origin: dict[str, str]
    places: Places

    @property
    def name(self) -> str:
        """The preset's name: that of its file."""
        return self.path.stem


def load(name_or_path: str, overrides: Sequence[str] = ()) -> LoadedPreset:
    """The preset called so, or in the file of that path, with `SECTION.KEY=VALUE` overrides.

    Raises UserErrors with every fault found.
    """
    try:
        path = preset_file(name_or_path)
        text = read_text(path)
    except UserError as error:
        raise UserErrors([error]) from None
    return parse(text, path, overrides)


def parse(text: str, path: Path, overrides: Sequence[str] = ()) -> LoadedPreset:
    """The preset that `text` holds; `path` names it in errors. Raises UserErrors."""
    try:
        given, layout = read_toml(text, path)
    except UserError as error:
        raise UserErrors([error]) from None
    typed, errors = flags.apply(given, overrides)
    places = Places(path, layout, typed)
    preset, faults = check(given)
    faults.sort(key=lambda fault: layout.line(fault.path) or 0)
    errors = [places.error(f.path, f.message, f.hint) for f in faults] + errors
    if errors:
        raise UserErrors(errors)
    return LoadedPreset(preset, path, text, _origins(preset, given, places), places)


def check(given: dict[str, Any]) -> tuple[Preset, list[Fault]]:
    """The preset that parsed TOML makes, and every fault; what is refused counts as not given.

    So a bad value in one table does not hide what is wrong in another. Combinations that a
    refused key takes part in are not judged.
    """
    refused: list[Fault] = []
    try:
        preset = Preset.model_validate(given)
    except ValidationError as error:
        refused = validation_errors(error, given)
        preset = Preset.model_validate(_without(given, [fault.path for fault in refused]))
    found = [fault for fault in rules.faults(preset) if not _touches(fault, refused)]
    return preset, refused + found


def dotted(path: rules.Path) -> str:
    """`("data", "source", 0, "path")` as `data.source.0.path`."""
    return ".".join(one_line(str(part), 60) for part in path)


def _without(given: dict[str, Any], paths: list[rules.Path]) -> dict[str, Any]:
    """A copy of `given` without what stands at `paths`.

    A table of a list becomes an empty one, so that the others keep their index; of a list of
    plain values nothing stays.
    """
    rest = copy.deepcopy(given)
    tables = {name for name, _ in sections()}
    for path in paths:
        if isinstance(path[-1], int) and ".".join(p for p in path if isinstance(p, str)) in tables:
            value_at(rest, path[:-1])[path[-1]] = {}
            continue
        path = path[:-1] if isinstance(path[-1], int) else path
        value_at(rest, path[:-1]).pop(path[-1], None)
    return rest


def _touches(fault: Fault, refused: list[Fault]) -> bool:
    """Whether a refused key takes part in the fault, or holds a part of it."""
    taking_part = (fault.path, *fault.others)
    return any(_nested(part, other.path) for part in taking_part for other in refused)


def _nested(one: rules.Path, other: rules.Path) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _origins(preset: Preset, given: dict[str, Any], places: Places) -> dict[str, str]:
    return {dotted(path): _origin(path, given, places) for path, _, _ in leaves(preset)}


def _origin(path: rules.Path, given: dict[str, Any], places: Places) -> str:
    """Who set a value; a default that follows from another key was set where that one was."""
    if not _is_in(given, path):
        if path[-1] not in DERIVED:
            return "default"
        return _origin((*path[:-1], DERIVED[str(path[-1])]), given, places)
    return "flag" if places.flag(path) is not None else "preset"


def _is_in(given: dict[str, Any], path: rules.Path) -> bool:
    try:
        value_at(given, path)
    except (KeyError, IndexError):
        return False
    return True
