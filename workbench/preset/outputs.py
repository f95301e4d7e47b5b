"""What comes out of a run and how it is judged: export, generate, evaluate, ollama, launch."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from workbench.checkers import builtin
from workbench.core.errors import UserError
from workbench.core.section import InvalidValue, PlainName, Section, Seed
from workbench.core.text import did_you_mean
from workbench.preset.inputs import distinct

GgufType = Literal["f32", "f16", "bf16", "q8_0", "q4_0", "q4_k_s", "q4_k_m", "q5_k_m", "q6_k"]
PLACEHOLDERS = ("file", "prompt", "expected", "python")
OLLAMA_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+){0,2}(:[\w.-]+)?")


def _checker(value: Any) -> Any:
    """`""` means no checker; a bare string would need a shell to take it apart."""
    if isinstance(value, str) and value:
        words = ", ".join(f'"{word}"' for word in value.replace('"', "").split())
        raise InvalidValue("the checker is a string", f'use a list: [{words}], or "" for none')
    return [] if value == "" else value


def checker_words(command: list[str]) -> list[str]:
    """`command`, where it can be a checker. Raises Refused."""
    if not builtin.is_builtin(command):
        return _placeholders(command)
    try:
        builtin.check_words(command)
    except UserError as error:
        raise InvalidValue(error.message, error.hint) from None
    return command


def _placeholders(command: list[str]) -> list[str]:
    if command and not command[0].strip():
        raise InvalidValue(
            "the checker command has no program", 'put the program first, or use "" for no checker'
        )
    for word in re.findall(r"\{(\w+)\}", " ".join(command)):
        hint = did_you_mean(word.lower(), PLACEHOLDERS)
        if word not in PLACEHOLDERS and hint.startswith("did"):
            raise InvalidValue(f"unknown placeholder '{{{word}}}'", hint)
    if command and not any("{file}" in word for word in command):
        raise InvalidValue("the checker never receives the response", "add {file} to its arguments")
    return command


def _suffix(value: str) -> str:
    if value and not re.fullmatch(r"\.[\w.-]+", value):
        raise InvalidValue(f"'{value}' is not a file suffix", "use one such as .py")
    return value


def _baseline(value: str) -> str:
    kind, _, rest = value.partition(":")
    if not value.strip() or (kind == "ollama" and not rest):
        raise InvalidValue(
            f"baseline '{value}' does not name a model",
            "use base, a run, a .gguf file or ollama:NAME",
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
        raise InvalidValue(f"'{rest}' is not a URL", form) from None
    if url.scheme not in ("http", "https") or not host:
        raise InvalidValue(f"'{rest}' is not a URL", form)
    if not url.fragment:
        raise InvalidValue("the URL has no model", form)
    if password:
        raise InvalidValue("credentials do not belong in a preset", form)


def _stops(values: list[str]) -> list[str]:
    if "" in values:
        raise InvalidValue("an empty stop string would end every response", "remove it")
    return distinct(values)


def _ollama_name(value: str) -> str:
    if value and not OLLAMA_NAME.fullmatch(value):
        raise InvalidValue(f"'{value}' is not a valid Ollama name", "use one such as gemma-blop")
    return value


Checker = Annotated[list[str], BeforeValidator(_checker), AfterValidator(checker_words)]
Names = Annotated[list[str], AfterValidator(distinct)]
Suffix = Annotated[str, AfterValidator(_suffix)]


class Export(Section):
    """The model files to export."""

    formats: Annotated[list[GgufType], AfterValidator(distinct)] = Field(
        ["f16", "q4_k_m"],
        description="GGUF types to export. The first and the last are evaluated; chat and the "
        "Modelfile use the last.",
    )
    merged: bool = Field(
        False, description="Also export the merged model as safetensors, for other tools."
    )
    parity: bool = Field(
        True,
        description="Compare each GGUF file with the trained model. The run fails if a file "
        "exceeds the limits.",
    )
    max_token_mismatch: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Largest share of rows that llama.cpp may tokenize differently, 0 to 1. A "
        "larger share ends the run while it prepares the data; a smaller one is reported.",
    )
    converter: str = Field(
        "",
        description="Path to llama.cpp's convert_hf_to_gguf.py, for architectures that workbench "
        "does not write itself. It runs on the merged model in a process of its own, and its files "
        "are compared and quantized like the others. Empty: such models are not exported to GGUF.",
    )


class Generate(Section):
    """Sampling settings for samples, evaluation, chat and the Modelfile."""

    temperature: float = Field(
        0.2, ge=0, le=10, description="Sampling temperature; 0 is greedy decoding."
    )
    top_k: int = Field(
        40, ge=0, le=1_000_000, description="Sample from the k most likely tokens; 0 uses all."
    )
    top_p: float = Field(
        0.9,
        gt=0,
        le=1,
        description="Sample from the most likely tokens up to this probability mass.",
    )
    min_p: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Drop tokens below this share of the most likely token's probability.",
    )
    repeat_penalty: float = Field(
        1.1, gt=0, le=10, description="Penalty on recently used tokens; 1.0 disables it."
    )
    max_tokens: int = Field(
        512, ge=1, le=16_777_216, description="Maximum response length, in tokens."
    )
    context: int = Field(
        4096, ge=16, le=16_777_216, description="Context size: prompt plus response, in tokens."
    )
    stop: Annotated[list[str], AfterValidator(_stops)] = Field(
        [], description="Stop strings, in addition to the model's end of turn."
    )
    seed: Seed = Field(42, description="Random seed for sampling.")


class Guard(Section):
    """An ability that fine-tuning must not lose; repeat the table for more."""

    name: PlainName = Field("", description="Name of the ability in the report. Required.")
    prompts: str = Field("", description="File with prompts, in any data format. Required.")
    checker: Checker = Field(
        [], description="Checker command, as in evaluate.checker. Empty: must_contain."
    )
    checker_suffix: Suffix = Field(
        "", description="Suffix of the response file passed to the checker."
    )
    max_drop: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Largest allowed drop of the pass rate, from base to tuned. 0.05 allows 0.60 "
        "to drop to 0.55.",
    )


class Evaluate(Section):
    """How to evaluate the tuned model, and against which baselines."""

    prompts: str = Field(
        "validation",
        description="Evaluation prompts: 'validation' (the validation rows) or a data file. Empty: "
        "no evaluation.",
    )
    samples: int = Field(
        1, ge=1, le=1000, description="Responses per prompt (k), for unbiased pass@1 to pass@k."
    )
    checker: Checker = Field(
        [],
        description="Command that checks a response, as a list of words. Exit status 0 passes; no "
        "shell is used. {file} is the response file, {prompt} and {expected} are the row's texts, "
        "{python} is the current Python. Or a built-in checker: builtin:exact, contains, regex, "
        'json, json-schema, python or similar (docs/evaluation.md). "" for none.',
    )
    checker_suffix: Suffix = Field(
        "", description="Suffix of the response file passed to the checker, such as .py."
    )
    checker_required: bool = Field(
        True,
        description="Refuse the run if the checker is not installed. If false, the run continues "
        "and reports that the pass rate was not measured.",
    )
    extract: Literal["all", "code-block", "code-block-or-all"] = Field(
        "code-block-or-all",
        description="Part of the response passed to the checker: all, or the first code block. "
        "'code-block' fails a response that has none.",
    )
    timeout: float = Field(
        10.0, gt=0, le=86_400, description="Checker time limit per response, in seconds."
    )
    baselines: Annotated[
        list[Annotated[str, AfterValidator(_baseline)]], AfterValidator(distinct)
    ] = Field(
        ["base"],
        description="Models to compare with: base, a run's name, a .gguf file, ollama:NAME or "
        "openai:URL#MODEL.",
    )
    perplexity: bool = Field(
        True,
        description="Also measure the perplexity of the expected responses (GGUF only).",
    )
    apart: Names = Field([], description="Categories reported separately, not in the headline.")
    limit: int = Field(
        0, ge=0, le=1_000_000_000, description="Use at most this many prompts; 0 uses all."
    )
    seed: Seed = Field(
        42, description="Random seed for sampling responses, and prompts if limited."
    )
    guard: list[Guard] = Field([], description="Abilities that fine-tuning must not lose.")


class Ollama(Section):
    """The Modelfile, and the model in an Ollama server."""

    name: Annotated[str, AfterValidator(_ollama_name)] = Field(
        "", description="Name of the model in Ollama. Default: the run's name."
    )
    system: str = Field("", description="System prompt written into the Modelfile.")
    create: bool = Field(
        False, description="Create the model in a running Ollama server at the end."
    )


class Launch(Section):
    """Multi-GPU training."""

    processes: int = Field(
        1,
        ge=1,
        le=1024,
        description="Training processes on this machine, one per GPU. They share each step's "
        "micro-batches. Under torchrun, its process count is used instead (docs/multi-gpu.md).",
    )
    sharding: Literal["none", "full"] = Field(
        "none",
        description="Weights held by each process: all of them (none) or a shard (full). Use "
        "'full' for a base model too large for one GPU; it is slower (docs/multi-gpu.md).",
    )
