"""The data that a preset names: its sources, and the prompts it is judged by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.core.errors import UserError
from workbench.dataset.browse.record_library import SourceRequest
from workbench.dataset.reader_options import ReaderOptions

if TYPE_CHECKING:
    from workbench.preset.schema import DataSource


@dataclass(frozen=True)
class NamedSource:
    """A source with the name that a preset gives it, and that preset."""

    name: str
    source: SourceRequest
    preset: str


def sources_of(preset_name: str) -> list[NamedSource]:
    """All that can be opened. Raises UserError for a preset at fault, or data that are nowhere."""
    from workbench.preset.loader import load
    from workbench.runner.frozen_preset import prompt_files

    loaded = load(preset_name)
    wanted: list[tuple[str, Callable[[], SourceRequest]]] = [
        (given.name or f"source {number}", partial(_of_preset, given, loaded.path))
        for number, given in enumerate(loaded.preset.data.source)
    ]
    wanted += [
        (".".join(map(str, key)), partial(_prompts, path, loaded.path))
        for key, path in prompt_files(loaded.preset.evaluate)
    ]
    found, missing = [], None
    for name, make in wanted:
        try:
            found.append(NamedSource(name, make(), preset_name))
        except UserError as error:
            missing = error
    if missing and not found:
        raise missing
    return found


def _of_preset(given: DataSource, preset_file: Path) -> SourceRequest:
    from workbench.preset.lookup import with_absolute_source

    there = with_absolute_source(given, preset_file)
    return SourceRequest(there.path, there.format, options=ReaderOptions(**there.options()))


def _prompts(path: str, preset_file: Path) -> SourceRequest:
    from workbench.preset.lookup import resolve_data

    return SourceRequest(str(resolve_data(path, preset_file)), answers=False)
