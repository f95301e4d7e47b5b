"""Whether the files that a preset names are there: asked before a run, not when it is read.

So a preset can be listed, edited and checked on a machine that has not its data.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from workbench.core.errors import UserError, UserErrors
from workbench.preset import miniature, rules, lookup
from workbench.preset.inputs import EMBEDDED, MINIATURE, TEMPLATE_FILE, is_local
from workbench.preset.loader import LoadedPreset
from workbench.core.text import visible


def require_files(loaded: LoadedPreset) -> None:
    """Raise UserErrors, each at its key, for every file or local model that is not there."""
    errors = _base(loaded)
    for path, wanted in _named(loaded):
        try:
            lookup.resolve_data(wanted, loaded.path)
        except UserError as error:
            errors.append(loaded.places.error(path, error.message, error.hint))
    if errors:
        raise UserErrors(errors)


def _base(loaded: LoadedPreset) -> list[UserError]:
    """What is wrong with a base that is, or could only be, on this machine."""
    model = loaded.preset.model
    if model.base.startswith((EMBEDDED, MINIATURE)):
        try:
            if model.base.startswith(EMBEDDED):
                lookup.embedded_base(model.base)
            else:
                miniature.check(model.base)
        except UserError as error:
            return [loaded.places.error(("model", "base"), error.message, error.hint)]
        return []
    is_folder = Path(os.path.expanduser(model.base)).is_dir()
    if is_local(model.base) and not is_folder:
        message = f"'{visible(model.base)}' is not a folder"
        return [loaded.places.error(("model", "base"), message, "give a model folder")]
    if is_folder and model.revision != "main":
        message = f"'{visible(model.base)}' is a local folder and has no revisions"
        return [loaded.places.error(("model", "revision"), message, "remove revision")]
    return []


def _named(loaded: LoadedPreset) -> Iterator[tuple[rules.Path, str]]:
    """Every file, folder and glob that the preset names, with its key."""
    preset = loaded.preset
    if preset.model.chat_template.startswith(TEMPLATE_FILE):
        yield ("model", "chat_template"), preset.model.chat_template.removeprefix(TEMPLATE_FILE)
    if preset.export.converter:
        yield ("export", "converter"), preset.export.converter
    for index, source in enumerate(preset.data.source):
        yield from ((("data", "source", index, key), file) for key, file in source.files().items())
    for index, file in preset.watch.prompt_files:
        yield ("watch", "prompts", index), file
    if preset.evaluate.prompts not in ("", "validation"):
        yield ("evaluate", "prompts"), preset.evaluate.prompts
    for index, guard in enumerate(preset.evaluate.guard):
        yield ("evaluate", "guard", index, "prompts"), guard.prompts
    for index, baseline in enumerate(preset.evaluate.baselines):
        if baseline.endswith(".gguf") and ":" not in baseline:
            yield ("evaluate", "baselines", index), baseline
