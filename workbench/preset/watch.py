"""`[watch]`: what a run tells of itself while it trains. None of it changes what is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from workbench.preset.inputs import distinct
from workbench.preset.section import Refused, Section

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
            raise Refused("a prompt is empty", "leave it out")
        if prompt == PROMPT_FILE:
            raise Refused("'FILE:' names no file", "use FILE:prompts.jsonl")
    return distinct(value)


class Watch(Section):
    """What is measured beside the losses at every evaluation, within a share of the time."""

    prompts: Annotated[Literal["auto"] | list[str], AfterValidator(_prompts)] = Field(
        "auto",
        description="Prompts answered before the first step and at evaluations. "
        "'auto' takes held-out prompts of the stage's kind, or a list of texts and FILE:PATH; an "
        "empty list asks nothing.",
    )
    count: int = Field(
        3, ge=1, le=64, description="How many prompts are asked, at most; the first ones."
    )
    max_tokens: int = Field(
        128,
        ge=1,
        le=8192,
        description="Longest of these answers, in tokens. Everything else about them is as in "
        "generate.",
    )
    general: bool = Field(
        True,
        description="Measure the loss on a small general text that ships too. Where it rises, "
        "the model forgets what it knew.",
    )
    time_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Largest share of the training time that this may take. Evaluations that "
        "would exceed it go without; the first and the last never do.",
    )
    trackers: Annotated[list[Tracker], AfterValidator(distinct)] = Field(
        ["tensorboard"],
        description="Where the figures go besides the run's own log. TensorBoard's files lie in "
        "the run's folder; the others are accelerate's, each needs its own library and may need "
        "an account.",
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
