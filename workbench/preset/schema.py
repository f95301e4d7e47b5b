"""The typed preset: one TOML file describes the whole run, and every key has a default.

The single source of keys, types, ranges, defaults and meanings: the loader, `--set`, the form,
the reference and the documentation read them from here. `loader.load` reads a file;
`rules.faults` finds keys that contradict each other.

The names of the stages are known here before anything heavy is imported. The worker plans the same
ones (`pipeline.stages.all_stages`); a test compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from workbench.core.errors import UserError
from workbench.core.section import Section
from workbench.core.text import did_you_mean
from workbench.preset.inputs import Data, DataSource, Model
from workbench.preset.outputs import Evaluate, Export, Generate, Guard, Launch, Ollama
from workbench.preset.training import Adapter, TrainStage
from workbench.preset.watch import Watch

__all__ = [
    "Adapter",
    "Data",
    "DataSource",
    "Evaluate",
    "Export",
    "Generate",
    "Guard",
    "Launch",
    "Model",
    "Ollama",
    "Preset",
    "Section",
    "TrainStage",
    "Watch",
]


class Preset(Section):
    """A complete run: base model, data, training, evaluation and outputs."""

    description: str = Field("", description="One-line description for the preset list.")
    model: Model = Field(Model(), description="The base model to fine-tune.")
    data: Data = Field(Data(), description="The training data.")
    train: list[TrainStage] = Field(
        [], description="Training stages, in order. At least one is required."
    )
    watch: Watch = Field(Watch(), description="Extra measurements during training.")
    export: Export = Field(Export(), description="The model files to export.")
    generate: Generate = Field(Generate(), description="Sampling settings.")
    evaluate: Evaluate = Field(Evaluate(), description="How to evaluate the tuned model.")
    ollama: Ollama = Field(Ollama(), description="The Modelfile and the Ollama server.")
    launch: Launch = Field(Launch(), description="Multi-GPU training.")


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
