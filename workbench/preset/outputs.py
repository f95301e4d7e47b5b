"""What comes out of a run and how it is judged: export, generate, evaluate, ollama, launch."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from workbench.checkers import builtin
from workbench.errors import UserError
from workbench.preset.inputs import distinct
from workbench.preset.section import PlainName, Refused, Section, Seed
from workbench.text import did_you_mean

GgufType = Literal["f32", "f16", "bf16", "q8_0", "q4_0", "q4_k_s", "q4_k_m", "q5_k_m", "q6_k"]
PLACEHOLDERS = ("file", "prompt", "expected", "python")
OLLAMA_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+){0,2}(:[\w.-]+)?")


def _checker(value: Any) -> Any:
    """`""` means no checker; a bare string would need a shell to take it apart."""
    if isinstance(value, str) and value:
        words = ", ".join(f'"{word}"' for word in value.replace('"', "").split())
        raise Refused("the checker is one string", f'write a list: [{words}], or "" for none')
    return [] if value == "" else value


def checker_words(command: list[str]) -> list[str]:
    """`command`, where it can be a checker. Raises Refused."""
    if not builtin.is_builtin(command):
        return _placeholders(command)
    try:
        builtin.check_words(command)
    except UserError as error:
        raise Refused(error.message, error.hint) from None
    return command


def _placeholders(command: list[str]) -> list[str]:
    if command and not command[0].strip():
        raise Refused("the checker names no program", 'put it first, or use "" for no checker')
    for word in re.findall(r"\{(\w+)\}", " ".join(command)):
        hint = did_you_mean(word.lower(), PLACEHOLDERS)
        if word not in PLACEHOLDERS and hint.startswith("did"):
            raise Refused(f"no placeholder '{{{word}}}'", hint)
    if command and not any("{file}" in word for word in command):
        raise Refused("the checker never sees the answer", "put {file} among its arguments")
    return command


def _suffix(value: str) -> str:
    if value and not re.fullmatch(r"\.[\w.-]+", value):
        raise Refused(f"'{value}' is not a file suffix", "use one such as .py")
    return value


def _baseline(value: str) -> str:
    kind, _, rest = value.partition(":")
    if not value.strip() or (kind == "ollama" and not rest):
        raise Refused(
            f"baseline '{value}' names nothing", "use base, a run, a .gguf or ollama:NAME"
        )
    if kind == "openai":
        _openai(rest)
    return value


def _openai(rest: str) -> None:
    form = "use openai:https://HOST/v1#MODEL"
    try:
        url = urlsplit(rest)
        host, password = url.hostname, url.password or url.username
    except ValueError:
        raise Refused(f"'{rest}' is not a URL", form) from None
    if url.scheme not in ("http", "https") or not host:
        raise Refused(f"'{rest}' is not a URL", form)
    if not url.fragment:
        raise Refused("no model after the URL", form)
    if password:
        raise Refused("a password does not belong into a preset", form)


def _stops(values: list[str]) -> list[str]:
    if "" in values:
        raise Refused("an empty stop string would stop every answer", "leave it out")
    return distinct(values)


def _ollama_name(value: str) -> str:
    if value and not OLLAMA_NAME.fullmatch(value):
        raise Refused(f"'{value}' is not an Ollama name", "use one such as gemma-blop")
    return value


Checker = Annotated[list[str], BeforeValidator(_checker), AfterValidator(checker_words)]
Names = Annotated[list[str], AfterValidator(distinct)]
Suffix = Annotated[str, AfterValidator(_suffix)]


class Export(Section):
    """The model files that are written."""

    formats: Annotated[list[GgufType], AfterValidator(distinct)] = Field(
        ["f16", "q4_k_m"],
        description="GGUF types to write. The first and the last are evaluated; chat and the "
        "Modelfile use the last.",
    )
    merged: bool = Field(
        False, description="Write the merged model as safetensors too, for other tools."
    )
    parity: bool = Field(
        True,
        description="Compare each GGUF with the model it came from. The run fails beyond the "
        "stated limits.",
    )


class Generate(Section):
    """How answers are drawn: by samples, evaluation, chat and the Modelfile alike."""

    temperature: float = Field(
        0.2, ge=0, le=10, description="Randomness of an answer; 0 always takes the likeliest token."
    )
    top_k: int = Field(
        40, ge=0, le=1_000_000, description="Choose among the k likeliest tokens; 0: among all."
    )
    top_p: float = Field(
        0.9, gt=0, le=1, description="Choose among the likeliest tokens that make up this share."
    )
    min_p: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Leave out tokens less likely than this share of the likeliest one.",
    )
    repeat_penalty: float = Field(
        1.1, gt=0, le=10, description="Penalty on tokens used shortly before; 1.0: none."
    )
    max_tokens: int = Field(512, ge=1, le=16_777_216, description="Longest answer, in tokens.")
    context: int = Field(
        4096, ge=16, le=16_777_216, description="Prompt and answer together, in tokens."
    )
    stop: Annotated[list[str], AfterValidator(_stops)] = Field(
        [], description="Strings that end an answer, beside the model's own end of turn."
    )
    seed: Seed = Field(42, description="Seed of the random choices.")


class Guard(Section):
    """An ability that must not be lost; repeat the table for more."""

    name: PlainName = Field("", description="Name of the ability in the report. Must be given.")
    prompts: str = Field("", description="File of prompts, in any data format. Must be given.")
    checker: Checker = Field(
        [], description="Command that judges an answer, as evaluate.checker. Empty: must_contain."
    )
    checker_suffix: Suffix = Field(
        "", description="Suffix of the file in which the checker finds the answer."
    )
    max_drop: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Largest loss of the share that passes, base against tuned. 0.05: from 0.60 "
        "to no less than 0.55.",
    )


class Evaluate(Section):
    """How the tuned model is judged, and against what."""

    prompts: str = Field(
        "validation",
        description="What is asked: 'validation' (the rows held back) or a data file; empty: no "
        "evaluation.",
    )
    samples: int = Field(
        1, ge=1, le=1000, description="Answers k a prompt, for unbiased pass@1 to pass@k."
    )
    checker: Checker = Field(
        [],
        description='Command that judges an answer, as a list of words; exit status 0 passes; "" '
        "for none. {file} is the answer's file, {prompt} and {expected} the row's texts, {python} "
        "this Python; no shell is used. Or a built-in one: builtin:exact, contains, regex, json, "
        "json-schema, python or similar (docs/evaluation.md).",
    )
    checker_suffix: Suffix = Field(
        "", description="Suffix of the file in which the checker finds the answer, such as .py."
    )
    checker_required: bool = Field(
        True,
        description="Refuse the run where the checker is not installed. false: it goes on, and "
        "says that its verdict was not measured.",
    )
    extract: Literal["all", "code-block", "code-block-or-all"] = Field(
        "code-block-or-all",
        description="What of an answer the checker gets: all of it, or its first code block. "
        "'code-block' fails an answer that has none.",
    )
    timeout: float = Field(
        10.0, gt=0, le=86_400, description="Longest run of the checker on one answer, in seconds."
    )
    baselines: Annotated[
        list[Annotated[str, AfterValidator(_baseline)]], AfterValidator(distinct)
    ] = Field(
        ["base"],
        description="Models asked the same: base, a run's name, a .gguf file, ollama:NAME or "
        "openai:URL#MODEL.",
    )
    perplexity: bool = Field(
        True,
        description="Measure, too, how unlikely each model finds the expected answers (GGUF only).",
    )
    apart: Names = Field([], description="Categories reported apart from the headline figures.")
    limit: int = Field(
        0, ge=0, le=1_000_000_000, description="Ask at most so many prompts; 0: all."
    )
    seed: Seed = Field(
        42, description="Seed of the choice of prompts under a limit, and of the answers."
    )
    guard: list[Guard] = Field([], description="Abilities that must not be lost.")


class Ollama(Section):
    """The Modelfile, and the model in a running Ollama server."""

    name: Annotated[str, AfterValidator(_ollama_name)] = Field(
        "", description="Name of the model in Ollama. Empty: the run's name."
    )
    system: str = Field("", description="System prompt written into the Modelfile.")
    create: bool = Field(
        False, description="Create the model in the running Ollama server at the end."
    )


class Launch(Section):
    """How the training is started."""

    processes: int = Field(
        1,
        ge=1,
        le=1024,
        description="Training processes on this machine, one a GPU. They share every step's "
        "micro-batches; under torchrun its processes count instead (docs/multi-gpu.md).",
    )
    sharding: Literal["none", "full"] = Field(
        "none",
        description="What of the weights each process holds: all of them, or its share. 'full' is "
        "for a base that one GPU cannot hold, and slower (docs/multi-gpu.md).",
    )
