"""A Modelfile read back: the request that its words come to.

Format: https://docs.ollama.com/modelfile; values as `workbench.serving.modelfile_values` reads them, each of
their characters kept. What this does not know is refused, not passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.core.errors import UserError
from workbench.serving.modelfile_values import value_at

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
class Wanted:
    """What the Modelfile asks for. `template` and `system` are None where it has none."""

    gguf: Path
    template: str | None = None
    system: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)


def read_modelfile(path: Path) -> Wanted:
    """What the file asks for; its FROM is a GGUF beside it. Raises UserError with the line."""
    try:
        text = path.read_bytes().decode("utf-8")  # line breaks as they are
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", path=path) from error
    except UnicodeDecodeError as error:
        raise UserError(f"byte {error.start} is not UTF-8", path=path) from error
    wanted = Wanted(Path())
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


def _take(wanted: Wanted, name: str, text: str, at: int, place: tuple[Path, int]) -> int:
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


def _set(wanted: Wanted, name: str, value: str, place: tuple[Path, int]) -> None:
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
