"""The Modelfile that makes an Ollama model of a GGUF.

Invariant: it holds nothing but what it is given: the file's name, the template, the sampling
numbers and the system text; no path, no account, no key.
Format: https://docs.ollama.com/modelfile
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date

from workbench.serving.modelfile_values import dropped, name_of, quoted
from workbench.serving.go_template import GoTemplate, NotLinear, go_template
from workbench.pipeline.export.turns import Message, Renderer

_ONE: tuple[Message, ...] = ({"role": "user", "content": "Hello."},)


@dataclass(frozen=True)
class Parameters:
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
    parameters: Parameters,
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
    for field in fields(parameters):
        value = getattr(parameters, field.name)
        if value is not None:
            lines.append(f"PARAMETER {field.name} {value}")
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
