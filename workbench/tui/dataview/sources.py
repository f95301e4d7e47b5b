"""The data that a preset names: its sources, and the prompts it is judged by."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.errors import UserError


@dataclass(frozen=True)
class Source:
    """A file, folder or glob with its format; `answers` is False for a file of prompts alone."""

    name: str
    path: str
    format: str
    answers: bool
    preset: str


def sources_of(preset_name: str) -> list[Source]:
    """All that can be opened. Raises UserError for a preset at fault, or data that are nowhere."""
    from workbench.headless.freeze import prompt_files
    from workbench.preset.load import load
    from workbench.preset.shipped import resolve_data

    loaded = load(preset_name)
    named = [
        (source.name or f"source {number}", source.path, source.format, True)
        for number, source in enumerate(loaded.preset.data.source)
    ]
    named += [
        (".".join(map(str, key)), path, "auto", False)
        for key, path in prompt_files(loaded.preset.evaluate)
    ]
    found, missing = [], None
    for name, path, format, answers in named:
        try:
            where = str(resolve_data(path, loaded.path))
        except UserError as error:
            missing = error
        else:
            found.append(Source(name, where, format, answers, preset_name))
    if missing and not found:
        raise missing
    return found
