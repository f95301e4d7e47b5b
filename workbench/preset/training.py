"""`[[train]]`: one table a training stage, with its `[train.adapter]`.

Every stage that is valid says how large an optimizer step is in exactly one way: `batch_tokens`,
or `batch_size` times `accumulation`; the other one is 0.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from workbench.preset.section import MAX_STEPS, PlainName, Refused, Section, Seed, ShareOrSteps

SEEDS = ("order_seed", "dropout_seed", "weights_seed")
Beta = Annotated[float, Field(ge=0, lt=1)]


def _targets(value: str | list[str]) -> str | list[str]:
    if value == [] or (isinstance(value, list) and "" in value):
        raise Refused("no module to adapt", 'use "all-linear", "attention" or module names')
    return value


class Adapter(Section):
    """What is trained in a stage: a small adapter beside the weights, or the weights themselves."""

    kind: Literal["lora", "dora", "full"] = Field(
        "lora",
        description="What is trained: a LoRA or DoRA adapter, or all weights (full). With 'full' "
        "rank, alpha, dropout and targets have no meaning.",
    )
    rank: int = Field(
        16, ge=1, le=4096, description="Rank r of the adapter's two matrices; more can learn more."
    )
    alpha: float = Field(
        64.0,
        gt=0,
        le=1_000_000,
        description="Strength of the adapter: its update is scaled by alpha / rank. With rslora "
        "by alpha / sqrt(rank).",
    )
    rslora: bool = Field(False, description="Scale by alpha / sqrt(rank), steadier at high ranks.")
    dropout: float = Field(
        0.05, ge=0, lt=1, description="Share of the adapter's inputs dropped while training."
    )
    targets: Annotated[Literal["all-linear", "attention"] | list[str], AfterValidator(_targets)] = (
        Field(
            "all-linear",
            description="Which layers get an adapter. 'all-linear' is every linear layer but the "
            "output head, 'attention' its projections; or a list of module names such as "
            '["q_proj", "v_proj"].',
        )
    )
    last_layers: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Train only the last N transformer layers; 0 trains all of them. With 'full' "
        "the weights below stay as they are.",
    )
    continue_: Literal["new", "carry", "merge"] = Field(
        "new",
        alias="continue",
        description="What follows the previous stage's adapter: a new one, or the same carried "
        "on. 'new' adds one on top of what that stage learned; 'merge' does so too, but writes the "
        "merged model to the disk first, in the base's number format, and quantizes that where the "
        "base is quantized; 'carry' needs the same kind, rank, alpha, rslora, targets and "
        "last_layers as the stage before.",
    )


class TrainStage(Section):
    """One training stage; stages run in the order of their tables."""

    name: PlainName = Field(
        "sft",
        min_length=1,
        description="Name of the stage, its folder and its part of the report. Not given: its "
        "objective.",
    )
    objective: Literal["pretrain", "sft"] = Field(
        "sft",
        description="What is learned: raw text (pretrain) or the answers in conversations (sft). "
        "pretrain trains on every token, sft on the assistant's alone.",
    )
    source: list[int | str] = Field(
        [],
        description="Indexes (from 0) or names of the data sources used. Empty: all that fit the "
        "objective.",
    )
    start_from: Literal["best", "last"] = Field(
        "best",
        description="Which weights of the stage before to start from. 'best' has the lowest "
        "validation loss and is the last where there is no validation; no meaning in the first "
        "stage.",
    )
    sequence_length: int = Field(
        512, ge=8, le=1_048_576, description="Longest sequence, in tokens."
    )
    on_cut: Literal["drop", "cut", "refuse"] = Field(
        "drop",
        description="What happens to a conversation longer than sequence_length. It is dropped, "
        "cut at the end, or the run is refused, and counted; raw text is split into blocks.",
    )
    packing: Literal["auto"] | bool = Field(
        True,
        description="Lay short rows end to end to fill a sequence. Attention never crosses from "
        "one row to another. false: rows of about one length side by side, padded. 'auto' tries "
        "both on the device before the first step and keeps the quicker for the whole stage.",
    )
    epochs: float = Field(
        3.0, gt=0, le=100_000, description="Passes over the data; fractions are allowed."
    )
    max_steps: int = Field(
        0,
        ge=0,
        le=MAX_STEPS,
        description="Optimizer steps of the stage; 0: as many as epochs takes. Wins over epochs.",
    )
    batch_tokens: int = Field(
        8192,
        ge=0,
        le=1_000_000_000,
        description="Tokens in an optimizer step, whatever the batch size; 0 where batch_size is "
        "used. Not given beside a batch_size: 0.",
    )
    batch_size: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Rows (packed sequences, with packing) in a micro-batch; 0: by batch_tokens.",
    )
    accumulation: int = Field(
        1, ge=1, le=1_000_000, description="Micro-batches of batch_size rows in an optimizer step."
    )
    learning_rate: float = Field(
        5e-5, gt=0, le=10, description="Peak learning rate, reached at the end of the warm-up."
    )
    min_learning_rate_ratio: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Learning rate at the end, as a share of the peak. No meaning with a constant "
        "schedule.",
    )
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="Course of the learning rate after the warm-up."
    )
    warmup: ShareOrSteps = Field(
        0.1,
        description="Warm-up from 0 to the peak: below 1 a share of the stage's steps, else steps.",
    )
    weight_decay: float = Field(
        0.01, ge=0, le=1, description="Decoupled weight decay of AdamW, per unit of learning rate."
    )
    optimizer: Literal["adamw", "adamw_8bit", "paged_adamw_8bit"] = Field(
        "adamw",
        description="Optimizer. The 8-bit ones need bitsandbytes and hold its state in a quarter "
        "of the memory.",
    )
    betas: list[Beta] = Field(
        [0.9, 0.999],
        min_length=2,
        max_length=2,
        description="Decay of AdamW's running mean of the gradient and of its square.",
    )
    adam_eps: float = Field(
        1e-8, gt=0, le=1, description="AdamW's epsilon, added to the denominator."
    )
    max_grad_norm: float = Field(
        1.0, ge=0, le=1_000_000, description="Gradients are scaled down to this norm; 0: never."
    )
    gradient_checkpointing: Literal["auto"] | bool = Field(
        "auto",
        description="Compute activations again in the backward pass to save memory. 'auto' does so "
        "on a CUDA card that the largest step would not fit otherwise.",
    )
    compile: Literal["auto"] | bool = Field(
        "auto",
        description="Compile feed-forward blocks and norms by torch.compile. 'auto' tries it on a "
        "CUDA card where the stage is long enough to win the time back, and keeps it where it is "
        "faster; a CPU and shared-out weights go without.",
    )
    evaluate_every: ShareOrSteps = Field(
        0.1,
        description="Validation loss every: below 1 a share of an epoch, else steps. 0: only at "
        "the end of the stage, where it is always measured.",
    )
    early_stopping: int = Field(
        0, ge=0, le=1_000_000, description="Stop after so many evaluations without gain; 0: never."
    )
    save_every: ShareOrSteps = Field(
        0.25,
        description="Checkpoint every: below 1 a share of the stage, else steps. 0: only at the "
        "end of the stage, where one is always written.",
    )
    keep_checkpoints: int = Field(
        2, ge=1, le=1000, description="Newest checkpoints kept, beside the best one."
    )
    extensions: list[Annotated[int, Field(ge=1, le=MAX_STEPS)]] = Field(
        [],
        description="Steps added after the planned ones, one number an extension. `workbench "
        "resume RUN --steps +N` adds one. Each rises to 0.3 of the peak learning rate and falls in "
        "a line to the end's; a constant schedule stays constant.",
    )
    seed: Seed = Field(
        42, description="Seed of the stage: of all that has no seed of its own below."
    )
    order_seed: Seed = Field(
        42, description="Seed of the order of rows. Not given: that of the stage."
    )
    dropout_seed: Seed = Field(42, description="Seed of dropout. Not given: that of the stage.")
    weights_seed: Seed = Field(
        42, description="Seed of a new adapter's first values. Not given: that of the stage."
    )
    adapter: Adapter = Field(Adapter(), description="What is trained in this stage.")

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, given: Any) -> Any:
        """Fill the defaults that depend on another key, so that they are written out."""
        if not isinstance(given, dict):
            return given
        derived: dict[str, Any] = {}
        if (objective := given.get("objective")) in ("pretrain", "sft"):
            derived["name"] = objective
        if given.get("batch_size", 0) != 0:
            derived["batch_tokens"] = 0
        if "seed" in given:
            derived |= dict.fromkeys(SEEDS, given["seed"])
        return derived | given
