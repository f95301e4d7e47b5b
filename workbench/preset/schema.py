"""The typed preset: one TOML file says the whole run, and every key has a default.

The single source of keys, types, ranges, defaults and meanings: the loader, `--set`, the form,
the reference and the documentation read them from here. Reading a file is `load.load`; what two
keys may not say together is `rules.faults`.
"""

from __future__ import annotations

from pydantic import Field

from workbench.preset.inputs import Data, DataSource, Model
from workbench.preset.outputs import Evaluate, Export, Generate, Guard, Launch, Ollama
from workbench.core.section import Section
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
