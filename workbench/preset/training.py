"""`[[train]]`: one table a training stage, with its `[train.adapter]`.

Every stage that is valid says how large an optimizer step is in exactly one way: `batch_tokens`,
or `batch_size` times `accumulation`; the other one is 0.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from workbench.core.section import MAX_STEPS, InvalidValue, PlainName, Section, Seed, ShareOrSteps
from workbench.objectives import DEFAULT_OBJECTIVE, OBJECTIVES
from workbench.objectives.base import ObjectiveName

SEEDS = ("order_seed", "dropout_seed", "weights_seed")
Beta = Annotated[float, Field(ge=0, lt=1)]


def _targets(value: str | list[str]) -> str | list[str]:
    if value == [] or (isinstance(value, list) and "" in value):
        raise InvalidValue("no modules to adapt", 'use "all-linear", "attention" or module names')
    return value


class Adapter(Section):
    """What a stage trains: a small adapter, or all weights of the model."""

    kind: Literal["lora", "dora", "full"] = Field(
        "lora",
        description="What to train: a LoRA or DoRA adapter, or all weights (full). 'full' ignores "
        "rank, alpha, dropout and targets.",
    )
    rank: int = Field(16, ge=1, le=4096, description="Adapter rank r; a higher rank adds capacity.")
    alpha: float = Field(
        64.0,
        gt=0,
        le=1_000_000,
        description="Adapter scaling: the update is scaled by alpha / rank. With rslora, by alpha "
        "/ sqrt(rank).",
    )
    rslora: bool = Field(
        False, description="Scale by alpha / sqrt(rank), more stable at high rank."
    )
    dropout: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="Dropout probability on the adapter's inputs. Routers have none.",
    )
    targets: Annotated[Literal["all-linear", "attention"] | list[str], AfterValidator(_targets)] = (
        Field(
            "all-linear",
            description="Modules that get an adapter. 'all-linear' is every linear layer, experts "
            "included, but no output head and no router; 'attention' the attention projections; or "
            'a list of module names such as ["q_proj", "v_proj"], ["mlp.experts"], ["router"] or '
            '["layers.3.*.o_proj"]. Experts and routers work with lora only.',
        )
    )
    modules_to_save: list[Literal["embed_tokens", "lm_head"]] = Field(
        [],
        description="Train the embedding or the output head in full next to the adapter. For added "
        "tokens, new scripts and languages; list embed_tokens, lm_head or both. If the model ties "
        "them, either trains the one matrix. They are trained in float32.",
    )
    last_layers: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Train only the last N transformer layers; 0 trains all of them. With 'full', "
        "earlier layers stay frozen.",
    )
    continue_: Literal["new", "carry", "merge"] = Field(
        "new",
        alias="continue",
        description="What to do with the previous stage's adapter: new, carry or merge. 'new' adds "
        "a fresh adapter on top of it; 'merge' does the same but first writes the merged model to "
        "disk in the base model's data type, and quantizes it if the base is quantized; 'carry' "
        "keeps training the same adapter and needs the same kind, rank, alpha, rslora, targets and "
        "last_layers as the previous stage.",
    )


def _objectives() -> str:
    """The description of `objective`: what each of them learns, and from which tokens."""
    known = OBJECTIVES.values()
    listed = " or ".join(f"{one.title} ({one.name})" for one in known)
    trained = " ".join(f"'{one.name}' trains on {one.trains_on}." for one in known)
    return f"What to learn: {listed}. {trained}"


class TrainStage(Section):
    """One training stage; stages run in the order they are listed."""

    name: PlainName = Field(
        DEFAULT_OBJECTIVE,
        min_length=1,
        description="Name of the stage, used for its folder and in reports. Default: its "
        "objective.",
    )
    objective: ObjectiveName = Field(DEFAULT_OBJECTIVE, description=_objectives())
    source: list[int | str] = Field(
        [],
        description="Names or indexes (from 0) of the data sources to use. Empty: all that fit the "
        "objective.",
    )
    start_from: Literal["best", "last"] = Field(
        "best",
        description="Weights of the previous stage to start from. 'best' has the lowest validation "
        "loss, or is the last if there is no validation. Ignored in the first stage.",
    )
    sequence_length: int = Field(
        512, ge=8, le=1_048_576, description="Maximum sequence length, in tokens."
    )
    on_cut: Literal["drop", "cut", "refuse"] = Field(
        "drop",
        description="What to do with conversations longer than sequence_length. Drop them, "
        "truncate them at the end ('cut'), or refuse the run; they are counted. Raw text is split "
        "into blocks.",
    )
    packing: Literal["auto"] | bool = Field(
        True,
        description="Pack several rows into one sequence. Attention never crosses row boundaries. "
        "false groups rows of similar length and pads them. 'auto' measures both on the device "
        "before the first step and keeps the faster one for the whole stage.",
    )
    epochs: float = Field(
        3.0, gt=0, le=100_000, description="Number of passes over the data; fractions are allowed."
    )
    max_steps: int = Field(
        0,
        ge=0,
        le=MAX_STEPS,
        description="Optimizer steps of the stage; 0 uses epochs. Overrides epochs.",
    )
    batch_tokens: int = Field(
        8192,
        ge=0,
        le=1_000_000_000,
        description="Tokens per optimizer step, whatever the batch size; 0 if batch_size is used. "
        "Defaults to 0 when batch_size is set.",
    )
    batch_size: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Rows per micro-batch (packed sequences if packing); 0 uses batch_tokens.",
    )
    accumulation: int = Field(
        1, ge=1, le=1_000_000, description="Gradient accumulation: micro-batches per step."
    )
    learning_rate: float = Field(
        5e-5, gt=0, le=10, description="Peak learning rate, reached at the end of the warm-up."
    )
    min_learning_rate_ratio: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Final learning rate, as a share of the peak. Ignored by the constant "
        "schedule.",
    )
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="Learning-rate schedule after the warm-up."
    )
    warmup: ShareOrSteps = Field(
        0.1,
        description="Warm-up from 0 to the peak: a share of the stage if below 1, else steps.",
    )
    weight_decay: float = Field(
        0.01, ge=0, le=1, description="AdamW weight decay (decoupled, times the learning rate)."
    )
    optimizer: Literal["adamw", "adamw_8bit", "paged_adamw_8bit"] = Field(
        "adamw",
        description="Optimizer. The 8-bit ones require bitsandbytes and store the optimizer state "
        "in a quarter of the memory.",
    )
    betas: list[Beta] = Field(
        [0.9, 0.999],
        min_length=2,
        max_length=2,
        description="AdamW betas: decay of the running mean of the gradient and its square.",
    )
    adam_eps: float = Field(
        1e-8, gt=0, le=1, description="AdamW epsilon, added to the denominator."
    )
    max_grad_norm: float = Field(
        1.0, ge=0, le=1_000_000, description="Clip gradients to this norm; 0 disables clipping."
    )
    gradient_checkpointing: Literal["auto"] | bool = Field(
        "auto",
        description="Recompute activations in the backward pass to save memory. 'auto' does so on "
        "a CUDA GPU if the largest step would not fit otherwise.",
    )
    compile: Literal["auto"] | bool = Field(
        "auto",
        description="Compile feed-forward blocks and norms with torch.compile. 'auto' tries it on "
        "a CUDA GPU if the stage is long enough to pay off, and keeps it if it is faster; CPUs and "
        "sharded weights do not use it.",
    )
    evaluate_every: ShareOrSteps = Field(
        0.1,
        description="Validation interval: a share of an epoch if below 1, else steps. 0: only at "
        "the end of the stage, where the validation loss is always measured.",
    )
    early_stopping: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Stop after N validations without improvement; 0 disables early stopping.",
    )
    save_every: ShareOrSteps = Field(
        0.25,
        description="Checkpoint interval: a share of the stage if below 1, else steps. 0: only at "
        "the end of the stage, where a checkpoint is always saved.",
    )
    keep_checkpoints: int = Field(
        2, ge=1, le=1000, description="Number of newest checkpoints to keep, besides the best."
    )
    extensions: list[Annotated[int, Field(ge=1, le=MAX_STEPS)]] = Field(
        [],
        description="Steps added after the planned ones, one number per extension. `workbench "
        "resume RUN --steps +N` appends one. Each warms up to 0.3 of the peak learning rate and "
        "decays linearly to the final rate; a constant schedule stays constant.",
    )
    seed: Seed = Field(
        42, description="Random seed of the stage, for everything without its own seed."
    )
    order_seed: Seed = Field(42, description="Seed of the row order. Default: the stage's seed.")
    dropout_seed: Seed = Field(42, description="Seed of dropout. Default: the stage's seed.")
    weights_seed: Seed = Field(
        42, description="Seed of a new adapter's initial weights. Default: the stage's seed."
    )
    adapter: Adapter = Field(Adapter(), description="What this stage trains.")

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, given: Any) -> Any:
        """Fill the defaults that depend on another key, so that they are written out."""
        if not isinstance(given, dict):
            return given
        derived: dict[str, Any] = {}
        if isinstance(objective := given.get("objective"), str) and objective in OBJECTIVES:
            derived["name"] = objective
        if given.get("batch_size", 0) != 0:
            derived["batch_tokens"] = 0
        if "seed" in given:
            derived |= dict.fromkeys(SEEDS, given["seed"])
        return derived | given
