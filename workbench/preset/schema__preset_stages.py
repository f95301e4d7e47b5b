"""The names of a preset's stages, known before anything heavy is imported.

The worker plans the same ones (`pipeline.stages.all_stages`); a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.core.errors import UserError
from workbench.preset.schema import Preset
from workbench.core.text import did_you_mean

TRAIN = "train"


def stage_names(preset: Preset) -> list[str]:
    """`prepare`, `train:NAME` for every training stage, `export`, `evaluate`, `package`."""
    names = ["prepare", *(f"{TRAIN}:{stage.name}" for stage in preset.train)]
    if not preset.export.formats:
        return [*names, "export"] if preset.export.merged else names
    asked = ["evaluate"] if preset.evaluate.prompts else []
    return [*names, "export", *asked, "package"]


def chosen(text: str, preset: Preset) -> list[str]:
    """The stages that `--stages` names, `[]` for all. Raises UserError for one there is not."""
    wanted = [part.strip() for part in text.split(",") if part.strip()]
    check_stage_names(wanted, stage_names(preset))
    return wanted


def check_stage_names(wanted: Sequence[str], names: Sequence[str]) -> None:
    """Raise UserError for a name in `--stages` that is none of `names`, nor `train` for all."""
    allowed = [*names, TRAIN]
    for name in wanted:
        if name not in allowed:
            raise UserError(f"--stages: unknown stage '{name}'", hint=did_you_mean(name, allowed))
