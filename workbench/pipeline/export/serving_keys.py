"""Keys of a GGUF file by which a model is served as it was trained: its further chat templates.

Names as in the `gguf` package and llama.cpp's converter: `tokenizer.chat_template.NAME` for each,
`tokenizer.chat_templates` for their list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import gguf

_Tokenizer = gguf.Keys.Tokenizer
_OTHER_CHARACTER = re.compile(r"[^A-Za-z0-9]")


def write_named_templates(writer: Any, templates: Mapping[str, str]) -> None:
    """Write the chat templates beside the default one; their list is sorted, so files are equal."""
    names = {_OTHER_CHARACTER.sub("_", name): source for name, source in templates.items()}
    for name in sorted(names):
        writer.add_string(_Tokenizer.CHAT_TEMPLATE_N.format(name=name), names[name])
    if names:
        writer.add_array(_Tokenizer.CHAT_TEMPLATES, sorted(names))
