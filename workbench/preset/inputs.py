"""What a run starts from: `[model]` and `[data]` with its `[[data.source]]` tables."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from workbench.preset.section import PlainName, Refused, Section, Seed
from workbench.text import did_you_mean

EMBEDDED = "embedded:"
MINIATURE = "miniature:"  # a random model of that name's architecture, made on the spot
TEMPLATE_FILE = "FILE:"
BUILT_IN_TEMPLATES = ("alpaca", "chatml", "gemma", "llama3", "plain", "task-code")

CHAT_FORMATS = (
    "chat",
    "sharegpt",
    "dolly",
    "alpaca",
    "prompt-completion",
    "topics",
    "input-output",
    "task-code",
    "markdown",
    "csv",
)
TEXT_FORMATS = ("documents", "text", "code", "csv")
Format = Literal[
    "auto",
    "chat",
    "sharegpt",
    "dolly",
    "alpaca",
    "prompt-completion",
    "topics",
    "documents",
    "input-output",
    "task-code",
    "markdown",
    "text",
    "code",
    "csv",
]
# What `data.source.fields` may name.
FIELDS = (
    *("category", "difficulty", "tags", "must_contain"),
    *("messages", "conversations", "tools", "system"),
    *("prompt", "completion", "instruction", "input", "context", "output", "response"),
    *("question", "think", "topic", "text", "speaker", "party", "year"),
)
HUB = "hub:"
_HUB_SOURCE = re.compile(r"hub:([\w.-]+/[\w.-]+(@[\w./-]+)?|\.{0,2}/[^:@]+)(:[\w.-]+){0,2}")
_PLACEHOLDER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


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
    if value.startswith(HUB) and not _HUB_SOURCE.fullmatch(value):
        raise Refused(f"'{value}' names no data set", "use hub:OWNER/NAME or hub:OWNER/NAME:SPLIT")
    return value


def _fields(value: dict[str, str]) -> dict[str, str]:
    for name, own in value.items():
        if name not in FIELDS:
            raise Refused(f"no format has a field '{name}'", did_you_mean(name, FIELDS))
        if not own:
            raise Refused(f"the field '{name}' has an empty name", "leave it out")
    return value


def _placeholders(value: dict[str, str]) -> dict[str, str]:
    for name in value:
        if not _PLACEHOLDER.fullmatch(name):
            raise Refused(f"'{name}' is no placeholder's name", "write NAME for ${NAME}")
    return value


def _suffixes(values: list[str]) -> list[str]:
    for value in values:
        if not value.startswith(".") or "/" in value:
            raise Refused(f"'{value}' is no suffix", "write .py")
    return distinct(values)


def _separator(value: str) -> str:
    if "\n" in value:
        raise Refused("a separator is one line", "leave the line end out")
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
        description='Tokens to add to the vocabulary, such as ["<think>", "</think>"]. Wherever '
        "the text stands it becomes that token; every stage trains the rows of these tokens in the "
        "embedding and the output head, whatever its adapter.",
    )
    chat_template: Annotated[str, AfterValidator(_template)] = Field(
        "auto",
        description="How a conversation becomes text: 'auto', 'FILE:path.jinja' or a built-in "
        "name. 'auto' takes the model's own; built in are "
        + ", ".join(BUILT_IN_TEMPLATES)
        + ". 'plain' has no turns: what is said is a text, and the answer goes on with it.",
    )


class DataSource(Section):
    """One file, folder, glob or hub data set of examples; repeat the table for more."""

    name: PlainName = Field(
        "",
        description="Name by which stages, flags and reports call the source. Empty: its index.",
    )
    path: Annotated[str, AfterValidator(_source_path)] = Field(
        "",
        description="File, folder or glob with the data, or hub:OWNER/NAME:SPLIT. Looked for in "
        "the current folder, then beside the preset, then above it, then among the data that "
        "ships. A hub data set is streamed; its split is 'train' unless named. There must be one.",
    )
    format: Format = Field(
        "auto",
        description="How rows are written in the file. 'auto' looks at its beginning and says "
        "what it took; docs/data-formats.md shows each. Records are read from JSON, CSV, TSV, "
        "Parquet, Arrow and the hub alike; 'text' is raw text for pretraining.",
    )
    fields: Annotated[dict[str, str], AfterValidator(_fields)] = Field(
        {},
        description='What the data call the fields of a format, such as prompt = "question". '
        "Holds for records of any kind; a field that is not named goes by its own name.",
    )
    placeholders: Annotated[dict[str, str], AfterValidator(_placeholders)] = Field(
        {},
        description="What stands for ${NAME} in the rows of topics. One that is not filled is a "
        "fault.",
    )
    json_schema: str = Field(
        "",
        alias="schema",
        description="JSON Schema that the front matter of Markdown examples must satisfy. Empty: "
        "the one that ships, which wants a title and a type.",
    )
    suffixes: Annotated[list[str], AfterValidator(_suffixes)] = Field(
        [],
        description='Which files of a folder of code are read, such as [".py"]. Empty: those of '
        "all languages that are known.",
    )
    separator: Annotated[str, AfterValidator(_separator)] = Field(
        "",
        description="Line that divides documents: text files are cut there, documents of a table "
        "end in it. Empty: text files are cut at <|endoftext|>, a table's documents end in none.",
    )
    rows: int = Field(
        0,
        ge=0,
        description="At most so many rows are read, from the beginning. 0 reads all; a large hub "
        "data set wants a number.",
    )
    structure_tokens: bool = Field(
        False,
        description="Put speaker, party, year and topic before each document of a table, as "
        "<SPEAKER>…</SPEAKER>.",
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

    @property
    def hub_folder(self) -> str:
        """The folder of this machine that a hub data set is read from; `""` for any other."""
        folder = self.path.removeprefix(HUB).partition(":")[0]
        return folder if self.path.startswith(HUB) and folder[0] in "./" else ""

    def files(self) -> dict[str, str]:
        """What the source names of this machine, by key: its path and its schema."""
        path = self.hub_folder if self.path.startswith(HUB) else self.path
        named = {"path": path, "schema": self.json_schema}
        return {key: file for key, file in named.items() if file}

    def options(self) -> dict[str, Any]:
        """How a reader is to read the source: the arguments of `dataset.options.Options`."""
        plain = ("fields", "placeholders", "separator", "rows", "structure_tokens")
        found: dict[str, Any] = {name: getattr(self, name) for name in plain}
        return found | {"schema": self.json_schema, "suffixes": tuple(self.suffixes)}


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
