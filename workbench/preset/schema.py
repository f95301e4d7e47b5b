"""The typed preset: one TOML file says the whole run, and every key has a default.

The single source of keys, types, ranges, defaults and meanings: the loader, `--set`, the form,
the reference and the documentation read them from here. Reading a file is `load.load`; what two
keys may not say together is `rules.faults`.
"""

from __future__ import annotations

from pydantic import Field

from workbench.preset.inputs import Data, DataSource, Model
from workbench.preset.outputs import Evaluate, Export, Generate, Guard, Launch, Ollama
from workbench.preset.section import Section
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
    """A whole run: what is tuned, on what, how, and what comes out."""

    description: str = Field("", description="One line for the list of presets.")
    model: Model = Field(Model(), description="The model that is tuned.")
    data: Data = Field(Data(), description="The examples.")
    train: list[TrainStage] = Field(
        [], description="The training stages, in order. At least one is needed."
    )
    watch: Watch = Field(Watch(), description="What a run tells of itself while it trains.")
    export: Export = Field(Export(), description="The model files that are written.")
    generate: Generate = Field(Generate(), description="How answers are drawn.")
    evaluate: Evaluate = Field(Evaluate(), description="How the tuned model is judged.")
    ollama: Ollama = Field(Ollama(), description="The Modelfile and the Ollama server.")
    launch: Launch = Field(Launch(), description="How the training is started.")
