"""What tokenization needs of a tokenizer, and how a `tokenizers.Tokenizer` provides it.

Nothing is added implicitly: no BOS, no EOS, no padding, no truncation. Offsets count characters of
the given text.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from workbench.core.errors import UserError
from workbench.core.text import did_you_mean, special_pattern
from workbench.tokenization.sequences import TYPE
from workbench.tokenization.word_cache import WordCache, build_word_cache

if TYPE_CHECKING:
    import tokenizers

Offsets = list[tuple[int, int]]
REMEMBERED = 256


class Tokenizer(Protocol):
    """Text to ids and back."""

    @property
    def vocabulary_size(self) -> int: ...

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """The control tokens: strings that become one id wherever they stand."""
        ...

    @property
    def bos_id(self) -> int | None:
        """The id that begins every sequence, None when the model has no such."""
        ...

    @property
    def special_pattern(self) -> re.Pattern[str] | None:
        """Finds the names of control tokens in a text; None where there are none."""
        ...

    @property
    def splits_at_special(self) -> bool:
        """Whether control tokens are found before all else, each by its very name.

        What stands before one is then tokenized alike whatever follows it, and the other way round.
        """
        ...

    def encode(self, text: str) -> tuple[list[int], Offsets]:
        """(ids, the characters [start, end) of `text` that each stands for)."""
        ...

    def encode_batch(self, texts: Sequence[str]) -> list[array[int]]:
        """The ids of each text; several are worked on at a time."""
        ...

    def encode_again(self, text: str) -> array[int]:
        """The ids of a short text that comes again and again, as a template's headers do."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, control tokens written out."""
        ...


class BackendTokenizer:
    """A `tokenizers.Tokenizer` (what transformers' fast tokenizers hold as `backend_tokenizer`)."""

    def __init__(
        self, backend: tokenizers.Tokenizer, bos_id: int | None, special_tokens: Mapping[str, int]
    ) -> None:
        self._backend = backend
        self.bos_id = bos_id
        self.special_tokens = dict(special_tokens)
        self.special_pattern = special_pattern(special_tokens)
        self.encode_again = lru_cache(maxsize=REMEMBERED)(self._encode_short)

    def __reduce__(self) -> tuple[Any, ...]:
        return BackendTokenizer, (self._backend, self.bos_id, self.special_tokens)

    @cached_property
    def vocabulary_size(self) -> int:
        return int(self._backend.get_vocab_size(with_added_tokens=True))

    def encode(self, text: str) -> tuple[list[int], Offsets]:
        found = self._backend.encode(text, add_special_tokens=False)
        return found.ids, found.offsets

    def encode_batch(self, texts: Sequence[str]) -> list[array[int]]:
        words = self._words
        found = [words.encode(text) for text in texts] if words else [None] * len(texts)
        left = [text for text, ids in zip(texts, found, strict=True) if ids is None]
        encoded = iter(self._backend.encode_batch_fast(left, add_special_tokens=False))
        return [array(TYPE, next(encoded).ids) if ids is None else ids for ids in found]

    @cached_property
    def _words(self) -> WordCache | None:
        return build_word_cache(self._backend)

    def _encode_short(self, text: str) -> array[int]:
        return array(TYPE, self._backend.encode(text, add_special_tokens=False).ids)

    @cached_property
    def splits_at_special(self) -> bool:
        added = self._backend.get_added_tokens_decoder().values()
        return not any(token.special and (token.normalized or token.single_word) for token in added)

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._backend.decode(list(ids), skip_special_tokens=False))


def from_backend(
    backend: tokenizers.Tokenizer, *, adds_bos: bool | None = None, bos_token: str = ""
) -> BackendTokenizer:
    """A tokenizer of this room from one of the `tokenizers` library; the original is not changed.

    `adds_bos` says whether the model's sequences begin with BOS; by default that is found out from
    what the backend itself puts before a text. `bos_token` names it where the backend does not.
    """
    if backend.truncation is not None or backend.padding is not None:
        backend = type(backend).from_str(backend.to_str())
        backend.no_truncation()
        backend.no_padding()
    added = backend.get_added_tokens_decoder()
    special = {token.content: number for number, token in added.items() if token.special}
    bos_id = None if adds_bos is False else _leading_id(backend, set(special.values()))
    if adds_bos and bos_id is None:
        bos_id = backend.token_to_id(bos_token) if bos_token else None
        if bos_id is None:
            raise UserError(f"the tokenizer has no BOS token '{bos_token}'")
    return BackendTokenizer(backend, bos_id, special)


def ids_of(tokenizer: Tokenizer, names: Sequence[str]) -> tuple[int, ...]:
    """Ids of control tokens by name. Raises UserError for one that the tokenizer does not have."""
    known = tokenizer.special_tokens
    for name in names:
        if name not in known:
            raise UserError(f"the tokenizer has no token '{name}'", hint=did_you_mean(name, known))
    return tuple(known[name] for name in names)


def _leading_id(backend: tokenizers.Tokenizer, special: set[int]) -> int | None:
    """What the backend puts before a text of its own accord, when it is a control token."""
    ids = backend.encode("a").ids
    bare = backend.encode("a", add_special_tokens=False).ids
    first: int | None = ids[0] if ids and ids[: len(bare)] != bare else None
    return first if first in special else None
