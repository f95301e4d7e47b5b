"""What a GGUF file says of its tokenizer: tokens, types, scores or merges, special tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gguf import TokenType

from workbench.pipeline.export.differences import Difference

_PHI3 = re.compile(r"(phi)-?3", re.IGNORECASE)


@dataclass(frozen=True)
class Vocabulary:
    """What goes into a GGUF. `scores` belong to `model` llama, `merges` to gpt2."""

    model: str
    pre: str
    tokens: list[str]
    types: list[int]
    scores: list[float]
    merges: list[str]
    special: Mapping[str, int]  # bos, eos, and as far as there are: unk, pad, eot
    has_bos: bool
    add_bos: bool
    add_eos: bool
    add_space_prefix: bool
    phi3: bool  # spaces after a special token belong to it; llama.cpp has that for Phi-3 only
    added: tuple[str, ...]  # texts of the added tokens that have a row
    differences: tuple[Difference, ...]  # kinds of text that llama.cpp tokenizes differently

    @property
    def warnings(self) -> tuple[str, ...]:
        """What llama.cpp does differently with this tokenizer, a sentence each."""
        return tuple(difference.what for difference in self.differences)

    @property
    def bos_token(self) -> str:
        """The text of BOS, `""` when the tokenizer has none."""
        return self.tokens[self.special["bos"]] if self.has_bos else ""

    @property
    def eos_token(self) -> str:
        return self.tokens[self.special["eos"]]

    @property
    def control_tokens(self) -> list[str]:
        """Texts of the special tokens."""
        kinds = zip(self.tokens, self.types, strict=True)
        return [token for token, kind in kinds if kind == TokenType.CONTROL]


def write_vocabulary(writer: Any, vocabulary: Vocabulary, chat_template: str) -> None:
    """Write all tokenizer keys. An empty `chat_template` is left out."""
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.model == "llama":
        writer.add_token_scores(vocabulary.scores)
        writer.add_add_space_prefix(vocabulary.add_space_prefix)
    else:
        writer.add_token_merges(vocabulary.merges)
    for name, token in vocabulary.special.items():
        getattr(writer, f"add_{name}_token_id")(token)
    writer.add_add_bos_token(vocabulary.add_bos)
    writer.add_add_eos_token(vocabulary.add_eos)
    if chat_template:
        writer.add_chat_template(chat_template)


def model_name(name: str, vocabulary: Vocabulary) -> str:
    """The name to write for a model: llama.cpp tells by it whether special tokens strip spaces.

    GGUF has no key for that; a name with `phi-3` or `phi3` in it does it, and no other does.
    """
    if vocabulary.phi3:
        return name if _PHI3.search(name) else f"{name} (phi-3)"
    return _PHI3.sub(r"\1 3", name)
