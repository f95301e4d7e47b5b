"""Keys of a GGUF file by which a model is served as it was trained: templates, sampling settings.

Names as in the `gguf` package and llama.cpp's converter: `tokenizer.chat_template.NAME` for each
further template and `tokenizer.chat_templates` for their list; `general.sampling.*`, which
llama.cpp's own programs take where a person sets nothing else (`common.cpp`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import gguf

from workbench.core.sampling import PENALTY_WINDOW

_Tokenizer = gguf.Keys.Tokenizer
_SAMPLING: Mapping[str, tuple[str, type[int] | type[float]]] = {
    "temperature": ("temp", float),
    "top_k": ("top_k", int),
    "top_p": ("top_p", float),
    "min_p": ("min_p", float),
    "repetition_penalty": ("penalty_repeat", float),
}
_OTHER_CHARACTER = re.compile(r"[^A-Za-z0-9]")


def write_named_templates(writer: Any, templates: Mapping[str, str]) -> None:
    """Write the chat templates beside the default one; their list is sorted, so files are equal."""
    names = {_OTHER_CHARACTER.sub("_", name): source for name, source in templates.items()}
    for name in sorted(names):
        writer.add_string(_Tokenizer.CHAT_TEMPLATE_N.format(name=name), names[name])
    if names:
        writer.add_array(_Tokenizer.CHAT_TEMPLATES, sorted(names))


def write_sampling(writer: Any, generation: Mapping[str, Any]) -> None:
    """Write the sampling settings of generation_config.json, those that it has.

    Greedy decoding is temperature 0. The repeat penalty looks back as far as in the workbench.
    """
    if generation.get("do_sample") is False:
        generation = {**generation, "temperature": 0.0}
    for name, (key, kind) in _SAMPLING.items():
        value = generation.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            getattr(writer, f"add_sampling_{key}")(kind(value))
    if generation.get("repetition_penalty", 1.0) != 1.0:
        writer.add_sampling_penalty_last_n(PENALTY_WINDOW)
