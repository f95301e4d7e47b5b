"""What a run starts from: `[model]` and `[data]` with its `[[data.source]]` tables."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from workbench.preset.section import PlainName, Refused, Section, Seed
from workbench.text import did_you_mean

EMBEDDED = "embedded:"
MINIATURE = "miniature:"  # a random model of that name's architecture, made on the spot
TEMPLATE_FILE = "FILE:"
BUILT_IN_TEMPLATES = ("alpaca", "chatml", "gemma", "llama3")

CHAT_FORMATS = ("input-output", "chat", "prompt-completion", "alpaca")
TEXT_FORMATS = ("text",)


def is_local(base: str) -> bool:
    """Whether `base` can only be a folder of this machine (or the embedded base), no hub id."""
    return base.startswith((EMBEDDED, MINIATURE, "/", "./", "../", "~")) or base in (".", "..")


def _base(value: str) -> str:
    if not value.strip():
        raise Refused("no base model", "use a hub id, a local folder or embedded:tiny")
    if value == EMBEDDED:
        raise Refused("'embedded:' names no model", "use embedded:tiny")
    if value == MINIATURE:
        raise Refused("'miniature:' names no model", "use miniature:OWNER/NAME")
    return value


def _template(value: str) -> str:
    if value == TEMPLATE_FILE:
        raise Refused("'FILE:' names no file", "use FILE:path.jinja")
    if value == "auto" or value.startswith(TEMPLATE_FILE) or value in BUILT_IN_TEMPLATES:
        return value
    names = ("auto", "FILE:path.jinja", *BUILT_IN_TEMPLATES)
    raise Refused(f"no chat template '{value}'", did_you_mean(value, names))


def _tokens(values: list[str]) -> list[str]:
    if "" in values:
        raise Refused("an added token is empty", "leave it out")
    return distinct(values)


def distinct(values: list[str]) -> list[str]:
    """`values`, or Refused when one of them is there twice."""
    for n, value in enumerate(values):
        if value in values[:n]:
            raise Refused(f"'{value}' is listed twice", "once is enough")
    return values


def _source_path(value: str) -> str:
    if value.startswith("hub:"):
        raise Refused(
            "data sets are not fetched from the hub", "download its files and name them here"
        )
    return value


class Model(Section):
    """The model that is tuned, and how it is held in memory."""

    base: Annotated[str, AfterValidator(_base)] = Field(
        "embedded:tiny",
        description="The model to start from: a hub id, a local folder, or embedded:tiny. A hub id "
        "is such as google/gemma-2b-it; write ./NAME for a folder that could be mistaken for one. "
        "embedded:tiny is the small base that ships with the workbench.",
    )
    revision: str = Field(
        "main",
        min_length=1,
        description="Branch, tag or commit of a hub model. A commit pins the model for good; "
        "a local folder has no revisions and takes only 'main'.",
    )
    device: Literal["auto", "cuda", "mps", "cpu"] = Field(
        "auto",
        description="Where to compute. 'auto' takes CUDA, then Apple's MPS, then the CPU.",
    )
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = Field(
        "auto",
        description="Number format of the weights while training. 'auto' is bfloat16 where the "
        "device computes in it, else float32.",
    )
    quantization: Literal["none", "nf4", "int8"] = Field(
        "none",
        description="Hold the frozen base in 4 bits (nf4) or 8 bits (int8) while an adapter is "
        "trained. Needs bitsandbytes; the export merges into the full-precision base all the "
        "same.",
    )
    added_tokens: Annotated[list[str], AfterValidator(_tokens)] = Field(
        [],
        description='Tokens to add to the vocabulary, such as ["<think>", "</think>"]. '
        "This version does not train them yet and refuses the key.",
    )
    chat_template: Annotated[str, AfterValidator(_template)] = Field(
        "auto",
        description="How a conversation becomes text: 'auto', 'FILE:path.jinja' or a built-in "
        "name. 'auto' takes the model's own; built in are " + ", ".join(BUILT_IN_TEMPLATES) + ".",
    )


class DataSource(Section):
    """One file, folder or glob of examples; repeat the table for more."""

    name: PlainName = Field(
        "",
        description="Name by which stages, flags and reports call the source. Empty: its index.",
    )
    path: Annotated[str, AfterValidator(_source_path)] = Field(
        "",
        description="File, folder or glob with the data. Looked for in the current folder, then "
        "beside the preset, then above it, then among the data that ships. There must be one.",
    )
    format: Literal["auto", "input-output", "chat", "prompt-completion", "alpaca", "text"] = Field(
        "auto",
        description="How rows are written in the file. 'auto' looks at its beginning and says "
        "what it took; 'text' is raw text for pretraining.",
    )
    use: Literal["auto", "train", "validation"] = Field(
        "auto",
        description="What the rows are for. 'auto' gives data.validation's share of them to "
        "validation, 'train' none, 'validation' all.",
    )
    weight: float = Field(
        1.0,
        gt=0,
        le=1000,
        description="How much of the source an epoch shows, times repeat: 0.5 is half of its rows. "
        "General examples beside the domain's, at a small weight, work against forgetting.",
    )
    repeat: int = Field(
        1,
        ge=1,
        le=10_000,
        description="How often each row is seen in one epoch. Copies never reach validation.",
    )


class Data(Section):
    """The examples, and what is held back from training."""

    validation: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Share of the rows held back for validation, stratified by category where "
        "rows have one. 0 switches validation off, with a warning.",
    )
    seed: Seed = Field(42, description="Seed of the split into training and validation rows.")
    dedupe: Literal["none", "exact", "near"] = Field(
        "exact",
        description="Which duplicates are dropped, and counted, before the split. 'near' takes "
        "rows that share 85 % of their word 5-grams for the same.",
    )
    system: str = Field(
        "", description="System prompt put before every conversation that has none of its own."
    )
    source: list[DataSource] = Field(
        [], description="The data sources, in order. At least one is needed."
    )
