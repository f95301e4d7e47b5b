"""What a run starts from: `[model]` and `[data]` with its `[[data.source]]` tables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from workbench.core.section import InvalidValue, PlainName, Section, Seed
from workbench.core.text import did_you_mean

if TYPE_CHECKING:
    from workbench.dataset.rows import RowKind

EMBEDDED = "embedded:"
MINIATURE = "miniature:"  # a random model of that name's architecture, made on the spot
TEMPLATE_FILE = "FILE:"
OWN_TEMPLATE = "auto:"  # one of the base model's own templates, by its name
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
FORMATS_OF: dict[RowKind, tuple[str, ...]] = {"chat": CHAT_FORMATS, "text": TEXT_FORMATS}
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
        raise InvalidValue("no base model", "use a Hub id, a local folder or embedded:tiny")
    if value == EMBEDDED:
        raise InvalidValue("'embedded:' does not name a model", "use embedded:tiny")
    if value == MINIATURE:
        raise InvalidValue("'miniature:' does not name a model", "use miniature:OWNER/NAME")
    return value


def _template(value: str) -> str:
    if value == TEMPLATE_FILE:
        raise InvalidValue("'FILE:' does not name a file", "use FILE:path.jinja")
    if value == OWN_TEMPLATE:
        raise InvalidValue("'auto:' does not name a chat template", "use auto:NAME")
    if value == "auto" or value.startswith((TEMPLATE_FILE, OWN_TEMPLATE)):
        return value
    if value in BUILT_IN_TEMPLATES:
        return value
    names = ("auto", "auto:NAME", "FILE:path.jinja", *BUILT_IN_TEMPLATES)
    raise InvalidValue(f"unknown chat template '{value}'", did_you_mean(value, names))


def _tokens(values: list[str]) -> list[str]:
    if "" in values:
        raise InvalidValue("an added token is empty", "remove it")
    return distinct(values)


def distinct(values: list[str]) -> list[str]:
    """`values`, or Refused when one of them is there twice."""
    for n, value in enumerate(values):
        if value in values[:n]:
            raise InvalidValue(f"'{value}' is listed twice", "remove one of them")
    return values


def _source_path(value: str) -> str:
    if value.startswith(HUB) and not _HUB_SOURCE.fullmatch(value):
        raise InvalidValue(
            f"'{value}' is not a dataset name", "use hub:OWNER/NAME or hub:OWNER/NAME:SPLIT"
        )
    return value


def _fields(value: dict[str, str]) -> dict[str, str]:
    for name, own in value.items():
        if name not in FIELDS:
            raise InvalidValue(f"unknown field '{name}'", did_you_mean(name, FIELDS))
        if not own:
            raise InvalidValue(f"the field '{name}' has an empty name", "remove it")
    return value


def _placeholders(value: dict[str, str]) -> dict[str, str]:
    for name in value:
        if not _PLACEHOLDER.fullmatch(name):
            raise InvalidValue(f"'{name}' is not a valid placeholder name", "use NAME for ${NAME}")
    return value


def _suffixes(values: list[str]) -> list[str]:
    for value in values:
        if not value.startswith(".") or "/" in value:
            raise InvalidValue(f"'{value}' is not a file suffix", "use one such as .py")
    return distinct(values)


def _separator(value: str) -> str:
    if "\n" in value:
        raise InvalidValue("a separator must be a single line", "remove the line break")
    return value


class Model(Section):
    """The base model to fine-tune and how to load it."""

    base: Annotated[str, AfterValidator(_base)] = Field(
        "embedded:tiny",
        description="Base model to fine-tune: a Hub id, a local folder, or embedded:tiny. A Hub id "
        "looks like google/gemma-2b-it; write ./NAME for a folder that could be mistaken for one. "
        "embedded:tiny is the small bundled base model.",
    )
    revision: str = Field(
        "main",
        min_length=1,
        description="Branch, tag or commit of a Hub model. Use a commit to pin the weights; a "
        "local folder has no revisions and only takes 'main'.",
    )
    device: Literal["auto", "cuda", "mps", "cpu"] = Field(
        "auto",
        description="Device to train on. 'auto' prefers CUDA, then Apple's MPS, then the CPU.",
    )
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = Field(
        "auto",
        description="Data type of the weights during training. 'auto' uses float32 on the CPU, "
        "bfloat16 on GPUs, and float16 on CUDA GPUs older than Ampere.",
    )
    quantization: Literal["none", "nf4", "int8"] = Field(
        "none",
        description="Quantize the frozen base model to 4-bit (nf4) or 8-bit (int8) while training "
        "an adapter. Requires bitsandbytes; the export still merges into the full-precision base "
        "model.",
    )
    added_tokens: Annotated[list[str], AfterValidator(_tokens)] = Field(
        [],
        description='Tokens to add to the vocabulary, such as ["<think>", "</think>"]. Their text '
        "is always encoded as that one token. Every stage trains their rows in the embedding and "
        "the output head, whatever its adapter.",
    )
    chat_template: Annotated[str, AfterValidator(_template)] = Field(
        "auto",
        description="Chat template: 'auto', 'auto:NAME', 'FILE:path.jinja' or a built-in name. "
        "'auto' uses the model's own template; of several, the one named tool_use for rows with "
        "tools and the default one for others. 'auto:NAME' uses the one of that name for all rows. "
        "The built-in ones are "
        + ", ".join(BUILT_IN_TEMPLATES)
        + ". 'plain' has no turns: the prompt is plain text and the response continues it.",
    )


class DataSource(Section):
    """A source of examples: a file, folder, glob or Hub dataset; repeat the table for more."""

    name: PlainName = Field(
        "",
        description="Name of the source in stages, flags and reports. Default: its index.",
    )
    path: Annotated[str, AfterValidator(_source_path)] = Field(
        "",
        description="File, folder or glob with the data, or hub:OWNER/NAME:SPLIT. A path is looked "
        "up in the current folder, next to the preset, one folder above it, and in the "
        "bundled data. A Hub dataset is streamed; its split defaults to 'train'. Required.",
    )
    format: Format = Field(
        "auto",
        description="Format of the rows. 'auto' detects it from the start of the file and reports "
        "what it found; see docs/data-formats.md. Records can be in JSON, CSV, TSV, Parquet, Arrow "
        "or on the Hub; 'text' is raw text for pretraining.",
    )
    fields: Annotated[dict[str, str], AfterValidator(_fields)] = Field(
        {},
        description='Maps the fields of a format to your names, such as prompt = "question". Works '
        "for all record formats; fields not listed keep their own names.",
    )
    placeholders: Annotated[dict[str, str], AfterValidator(_placeholders)] = Field(
        {},
        description="Values for ${NAME} placeholders in topics rows. An undefined placeholder is "
        "an error.",
    )
    json_schema: str = Field(
        "",
        alias="schema",
        description="JSON Schema for the front matter of Markdown examples. Default: the built-in "
        "schema, which requires a title and a type.",
    )
    suffixes: Annotated[list[str], AfterValidator(_suffixes)] = Field(
        [],
        description='File suffixes to read in a folder of code, such as [".py"]. Empty: all known '
        "languages.",
    )
    separator: Annotated[str, AfterValidator(_separator)] = Field(
        "",
        description="Line that separates documents. Text files are split at it, and each document "
        "of a table ends with it. Empty: text files are split at <|endoftext|>; table documents "
        "have no separator.",
    )
    rows: int = Field(
        0,
        ge=0,
        description="Read at most this many rows, from the start. 0 reads all; set a limit for a "
        "large Hub dataset.",
    )
    structure_tokens: bool = Field(
        False,
        description="Prefix each table document with its speaker, party, year and topic, as "
        "<SPEAKER>…</SPEAKER>.",
    )
    use: Literal["auto", "train", "validation"] = Field(
        "auto",
        description="How to use the rows. 'auto' splits off data.validation's share for "
        "validation, 'train' uses all for training, 'validation' uses all for validation.",
    )
    weight: float = Field(
        1.0,
        gt=0,
        le=1000,
        description="How much of the source to use per epoch, times repeat: 0.5 uses half of its "
        "rows. Mixing in general examples at a small weight reduces forgetting.",
    )
    repeat: int = Field(
        1,
        ge=1,
        le=10_000,
        description="Times each row is used per epoch. Copies never reach validation.",
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
        """How a reader is to read the source: the arguments of `ReaderOptions`."""
        plain = ("fields", "placeholders", "separator", "rows", "structure_tokens")
        found: dict[str, Any] = {name: getattr(self, name) for name in plain}
        return found | {"schema": self.json_schema, "suffixes": tuple(self.suffixes)}


class Data(Section):
    """The training data and the validation split."""

    validation: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Share of rows split off for validation, stratified by category if rows have "
        "one. 0 disables validation, with a warning.",
    )
    seed: Seed = Field(42, description="Random seed of the training/validation split.")
    dedupe: Literal["none", "exact", "near"] = Field(
        "exact",
        description="Duplicate rows to drop before the split. 'exact' drops identical rows; 'near' "
        "also drops rows that share 85% of their word 5-grams.",
    )
    system: str = Field("", description="System prompt for every conversation that has none.")
    source: list[DataSource] = Field(
        [], description="Data sources, in order. At least one is required."
    )
