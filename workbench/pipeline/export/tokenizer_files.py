"""The two files that a tokenizer is, as training saved them, and what they give a text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench.core.errors import UserError


@dataclass(frozen=True)
class TokenizerFiles:
    """What training saved: the backend's JSON text and tokenizer_config.json."""

    folder: Path
    backend_json: str
    config: Mapping[str, Any]

    @cached_property
    def backend(self) -> Any:
        """The tokenizer of the tokenizers library, with truncation and padding switched off."""
        from tokenizers import Tokenizer

        backend = Tokenizer.from_str(self.backend_json)
        backend.no_truncation()
        backend.no_padding()
        return backend

    def ids(self, text: str, *, add_special: bool = False) -> tuple[int, ...]:
        """Ids of `text`; special tokens in it are recognised, BOS and EOS only on request."""
        return tuple(self.backend.encode(text, add_special_tokens=add_special).ids)

    @cached_property
    def highest_id(self) -> int:
        """The highest id of its tokens."""
        return int(max(self.backend.get_vocab(with_added_tokens=True).values()))


def read_tokenizer(folder: Path) -> TokenizerFiles:
    """The tokenizer files in `folder`. Raises UserError when one is missing or damaged."""
    backend = folder / "tokenizer.json"
    config = folder / "tokenizer_config.json"
    for path in (backend, config):
        if not path.is_file():
            raise UserError("the tokenizer needs this file", path=path)
    try:
        values = json.loads(config.read_bytes())
        return TokenizerFiles(folder, backend.read_text(encoding="utf-8"), values)
    except ValueError:
        raise UserError("the tokenizer's configuration is damaged", path=config) from None
