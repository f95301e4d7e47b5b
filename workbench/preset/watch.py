"""`[watch]`: what a run tells of itself while it trains. None of it changes what is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from workbench.core.section import InvalidValue, Section
from workbench.preset.inputs import distinct

PROMPT_FILE = "FILE:"
Tracker = Literal[
    "aim",
    "clearml",
    "comet_ml",
    "dvclive",
    "mlflow",
    "swanlab",
    "tensorboard",
    "trackio",
    "wandb",
]


def _prompts(value: str | list[str]) -> str | list[str]:
    if isinstance(value, str):
        return value
    for prompt in value:
        if not prompt.strip():
            raise InvalidValue("a prompt is empty", "remove it")
        if prompt == PROMPT_FILE:
            raise InvalidValue("'FILE:' does not name a file", "use FILE:prompts.jsonl")
    return distinct(value)


class Watch(Section):
    """Extra measurements during training, limited to a share of the time."""

    prompts: Annotated[Literal["auto"] | list[str], AfterValidator(_prompts)] = Field(
        "auto",
        description="Prompts to generate samples for, before the first step and at evaluations. "
        "'auto' uses held-out prompts, or in a pretraining stage the beginnings of validation "
        "texts; or give a list of texts and FILE:PATH. An empty list disables samples.",
    )
    count: int = Field(
        3, ge=1, le=64, description="Number of prompts to use, at most; the first ones."
    )
    max_tokens: int = Field(
        128,
        ge=1,
        le=8192,
        description="Maximum length of a sample, in tokens. Everything else is as in [generate].",
    )
    general: bool = Field(
        True,
        description="Measure the loss on a small bundled general text. A rising "
        "loss means that the model forgets what it knew.",
    )
    time_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Largest share of training time for these measurements. Evaluations that would "
        "exceed it skip them; the first and the last never do.",
    )
    trackers: Annotated[list[Tracker], AfterValidator(distinct)] = Field(
        ["tensorboard"],
        description="Experiment trackers, besides the run's own log. TensorBoard files are in the "
        "run folder; the others go through accelerate, need their own library and may need an "
        "account.",
    )

    @property
    def prompt_files(self) -> list[tuple[int, str]]:
        """(index among the prompts, path) of each that is a file."""
        if isinstance(self.prompts, str):
            return []
        return [
            (index, prompt.removeprefix(PROMPT_FILE))
            for index, prompt in enumerate(self.prompts)
            if prompt.startswith(PROMPT_FILE)
        ]
