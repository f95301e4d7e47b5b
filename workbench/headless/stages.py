"""The names of a preset's stages, known before anything heavy is imported.

The worker plans the same ones (`pipeline.stages.all_stages`); a test holds the two together.
"""

from __future__ import annotations

from workbench.errors import UserError
from workbench.preset.schema import Preset
from workbench.text import did_you_mean

TRAIN = "train"


def stage_names(preset: Preset) -> list[str]:
    """`prepare`, `train:NAME` for every training stage, `export`, `evaluate`, `package`."""
    names = ["prepare", *(f"{TRAIN}:{stage.name}" for stage in preset.train)]
    if not preset.export.formats:
        return names
    asked = ["evaluate"] if preset.evaluate.prompts else []
    return [*names, "export", *asked, "package"]


def chosen(text: str, preset: Preset) -> list[str]:
    """The stages that `--stages` names, `[]` for all. Raises UserError for one there is not."""
    names = stage_names(preset)
    wanted = [part.strip() for part in text.split(",") if part.strip()]
    for name in wanted:
        if name not in (*names, TRAIN):
            raise UserError(
                f"--stages: no stage '{name}'", hint=did_you_mean(name, [*names, TRAIN])
            )
    return wanted
