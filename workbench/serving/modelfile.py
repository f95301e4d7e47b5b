"""Modelfiles: written for a GGUF, and read back as the request that their lines describe.

Format: https://docs.ollama.com/modelfile; `modelfile_values` reads the values, each character kept.
An unknown instruction is refused, not skipped. Invariant: a written one holds only what it is
given: the file's name, the template, the sampling settings and the system prompt; no path, no
account, no key.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from pathlib import Path
from typing import Any

from workbench.core.errors import UserError
from workbench.serving.go_template import GoTemplate, NotLinear, go_template
from workbench.serving.modelfile_values import dropped, name_of, quoted, value_at
from workbench.serving.template_turns import Message, Renderer

INSTRUCTION = re.compile(r"[ \t]*([A-Za-z]+)[ \t]+")
PARAMETER = re.compile(r"([A-Za-z0-9_]+)[ \t]+")
SKIPPED = re.compile(r"(?:[ \t]*(?:#[^\r\n]*)?[\r\n])+|[ \t]*(?:#[^\r\n]*)?\Z")
KNOWN = ("FROM", "TEMPLATE", "PARAMETER", "SYSTEM")
TEXTS = ("stop",)
WHOLE = (
    *("num_ctx", "num_predict", "num_keep", "num_batch", "num_gpu", "num_thread"),
    *("seed", "top_k", "repeat_last_n", "main_gpu"),
)
REALS = (
    *("temperature", "top_p", "min_p", "typical_p", "repeat_penalty"),
    *("presence_penalty", "frequency_penalty"),
)


@dataclass
class ModelfileSpec:
    """What the Modelfile asks for. `template` and `system` are None where it has none."""

    gguf: Path
    template: str | None = None
    system: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)


def read_modelfile(path: Path) -> ModelfileSpec:
    """What the file asks for; its FROM is a GGUF beside it. Raises UserError with the line."""
    try:
        text = path.read_bytes().decode("utf-8")  # line breaks as they are
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", path=path) from error
    except UnicodeDecodeError as error:
        raise UserError(f"byte {error.start} is not UTF-8", path=path) from error
    wanted = ModelfileSpec(Path())
    at = _skip(text, 0)
    while at < len(text):
        line = text.count("\n", 0, at) + 1
        match = INSTRUCTION.match(text, at)
        name = match[1].upper() if match else ""
        if match is None or name not in KNOWN:
            word = text[at:].split(None, 1)[0]
            hint = "use " + ", ".join(KNOWN)
            raise UserError(
                f"'{word[:40]}' is not a known instruction", path=path, line=line, hint=hint
            )
        at = _take(wanted, name, text, match.end(), (path, line))
        at = _skip(text, at)
    if not wanted.gguf.name:
        raise UserError("FROM is missing", path=path)
    return wanted


def _skip(text: str, at: int) -> int:
    """Past empty lines and comments."""
    match = SKIPPED.match(text, at)
    return match.end() if match else at


def _take(wanted: ModelfileSpec, name: str, text: str, at: int, place: tuple[Path, int]) -> int:
    path, line = place
    if name == "PARAMETER":
        match = PARAMETER.match(text, at)
        if match is None:
            raise UserError("PARAMETER without a name and a value", path=path, line=line)
        value, end = _value(text, match.end(), place)
        _set(wanted, match[1], value, place)
        return end
    value, end = _value(text, at, place)
    if name == "FROM":
        wanted.gguf = path.parent / value
    elif name == "TEMPLATE":
        wanted.template = value
    else:
        wanted.system = value
    return end


def _value(text: str, at: int, place: tuple[Path, int]) -> tuple[str, int]:
    """The value that begins at `at`, and where its line ends."""
    found = value_at(text, at)
    if found is None:
        raise UserError("unclosed quotes", path=place[0], line=place[1])
    return found


def _set(wanted: ModelfileSpec, name: str, value: str, place: tuple[Path, int]) -> None:
    path, line = place
    try:
        if name in TEXTS:
            wanted.parameters.setdefault(name, []).append(value)
        elif name in WHOLE:
            wanted.parameters[name] = int(value)
        elif name in REALS:
            wanted.parameters[name] = float(value)
        else:
            hint = "use " + ", ".join((*TEXTS, *WHOLE, *REALS))
            raise UserError(f"unknown parameter '{name[:40]}'", path=path, line=line, hint=hint)
    except ValueError:
        message = f"{name}: '{value[:40]}' is not a number"
        raise UserError(message, path=path, line=line) from None


_ONE: tuple[Message, ...] = ({"role": "user", "content": "Hello."},)


@dataclass(frozen=True)
class ModelfileParameters:
    """Sampling as Ollama names it; None leaves Ollama's own default."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    num_ctx: int | None = None
    num_predict: int | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Modelfile:
    """`text`: the file. `stops`: all stop strings in it. `warnings`: what had to be left out."""

    text: str
    stops: tuple[str, ...]
    warnings: tuple[str, ...]


def modelfile(
    gguf_name: str,
    render: Renderer | None,
    *,
    parameters: ModelfileParameters,
    stops: Sequence[str] = (),
    system: str = "",
    special_tokens: Sequence[str] = (),
    added_bos: str = "",
    comment: str = "",
    today: date | None = None,
) -> Modelfile:
    """The Modelfile for the file `gguf_name` beside it.

    `render`: the chat template, None for a model without one. A template that is no plain sequence
    of messages is left out, with a warning: Ollama then takes the one inside the GGUF, or guesses.
    """
    warnings = list[str]()
    lines = [f"# {line}" for line in comment.splitlines()]
    lines.append(f"FROM ./{gguf_name}")
    derived: GoTemplate | None = None
    if render is not None:
        try:
            derived = go_template(
                render, special_tokens=special_tokens, added_bos=added_bos, today=today
            )
        except NotLinear as error:
            warnings.append(
                f"TEMPLATE is omitted: the chat template cannot be expressed for Ollama: {error}"
            )
    if derived is not None and render is not None:
        warnings += derived.notes
        if not render(_ONE, True).startswith(added_bos):
            warnings.append(f"Ollama starts each chat with {added_bos}, but training did not")
        _add(lines, warnings, "TEMPLATE", derived.text)
        system = system.strip() if "system" in derived.trims else system
    all_stops = tuple(dict.fromkeys([*stops, *(derived.stops if derived else ())]))
    for parameter in fields(parameters):
        value = getattr(parameters, parameter.name)
        if value is not None:
            lines.append(f"PARAMETER {parameter.name} {value}")
    for stop in all_stops:
        _add(lines, warnings, "PARAMETER stop", stop)
    if system:
        _add(lines, warnings, "SYSTEM", system)
    return Modelfile("\n".join(lines) + "\n", all_stops, tuple(warnings))


def _add(lines: list[str], warnings: list[str], instruction: str, text: str) -> None:
    value = quoted(text)
    if value is None:
        warnings.append(f"{instruction} is omitted: a Modelfile cannot quote its text")
        return
    lines.append(f"{instruction} {value}")
    if lost := dropped(text):
        names = ", ".join(f"{name_of(c)} (x{n})" if n > 1 else name_of(c) for c, n in lost.items())
        warnings.append(
            f"`ollama create` drops {names} from {instruction}; `workbench ollama` keeps it"
        )
