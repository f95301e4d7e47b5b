"""Whether the files that a preset names are there: asked before a run, not when it is read.

So a preset can be listed, edited and checked on a machine that has not its data.
"""

from __future__ import annotations

from collections.abc import Iterator

from workbench.errors import UserError, UserErrors
from workbench.preset import rules, shipped
from workbench.preset.inputs import EMBEDDED, TEMPLATE_FILE, is_local
from workbench.preset.load import LoadedPreset


def require_files(loaded: LoadedPreset) -> None:
    """Raise UserErrors, each at its key, for every file or local model that is not there."""
    errors = []
    for path, wanted in _named(loaded):
        try:
            if wanted.startswith(EMBEDDED):
                shipped.embedded_base(wanted)
            else:
                shipped.resolve_data(wanted, loaded.path)
        except UserError as error:
            errors.append(loaded.places.error(path, error.message, error.hint))
    if errors:
        raise UserErrors(errors)


def _named(loaded: LoadedPreset) -> Iterator[tuple[rules.Path, str]]:
    """Every file, folder and glob that the preset names, with its key."""
    preset = loaded.preset
    if is_local(preset.model.base):
        yield ("model", "base"), preset.model.base
    if preset.model.chat_template.startswith(TEMPLATE_FILE):
        yield ("model", "chat_template"), preset.model.chat_template.removeprefix(TEMPLATE_FILE)
    for index, source in enumerate(preset.data.source):
        yield ("data", "source", index, "path"), source.path
    if preset.evaluate.prompts not in ("", "validation"):
        yield ("evaluate", "prompts"), preset.evaluate.prompts
    for index, guard in enumerate(preset.evaluate.guard):
        yield ("evaluate", "guard", index, "prompts"), guard.prompts
    for index, baseline in enumerate(preset.evaluate.baselines):
        if baseline.endswith(".gguf"):
            yield ("evaluate", "baselines", index), baseline
