"""A row as training will see it: rendered by the chat template, cut into tokens, each marked.

The very functions that prepare the training do it (`workbench.dataset`). Needs no model, and of
the libraries only `tokenizers`; `loading` makes a lens of a preset.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from workbench.core.errors import UserError
from workbench.core.text import quantity
from workbench.dataset.duplicates import with_system
from workbench.dataset.rows import Fault, Row
from workbench.tokenization.chat_template import ChatTemplate
from workbench.tokenization.encoder import Encoder, EncodeRows
from workbench.tokenization.sequences import TrainingSequence
from workbench.tokenization.tokenizer import BackendTokenizer

NO_LIMIT = 1 << 30
MAX_CHARS = 20_000
MAX_TOKENS = 20_000
MAX_CHARACTER_TOKENS = 4  # UTF-8 has no character of more bytes
INCOMPLETE = "\ufffd"
ON_CUT = {
    "drop": "training drops the row",
    "cut": "training truncates the row",
    "refuse": "the preset refuses the run",
}


@dataclass(frozen=True)
class PreviewToken:
    """The text of one token, or of a few that only together make a character."""

    text: str
    ids: tuple[int, ...]
    trained: bool
    special: bool
    beyond: bool  # behind what the sequence length has room for


@dataclass(frozen=True)
class RowPreview:
    """A row's tokens, the first `MAX_TOKENS`. `told` says what a person should know of them."""

    pieces: tuple[PreviewToken, ...]
    tokens: int
    trained: int
    limit: int
    told: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Strict-JSON values; `from_json` gives the same back."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RowPreview:
        """What `to_json` wrote."""
        pieces = (PreviewToken(**piece | {"ids": tuple(piece["ids"])}) for piece in value["pieces"])
        return cls(**{**value, "pieces": tuple(pieces), "told": tuple(value["told"])})


@dataclass(frozen=True)
class Limit:
    """The sequence length of a stage, and what it does with a longer conversation."""

    tokens: int = NO_LIMIT
    on_cut: str = "drop"


@dataclass(frozen=True)
class TokenPreview:
    """How one preset reads rows; `limits` and `encode_rows` are by the kind of row."""

    preset: str
    tokenizer: BackendTokenizer
    template: ChatTemplate | None
    stop_ids: tuple[int, ...]
    separator_id: int
    system: str
    limits: dict[str, Limit]
    encode_rows: Mapping[str, EncodeRows]

    def encoder(self, kind: str, sequence_length: int = NO_LIMIT) -> Encoder:
        """What makes sequences of rows of that kind, as training does."""
        return Encoder(
            self.encode_rows[kind],
            self.tokenizer,
            self.template,
            sequence_length,
            self.stop_ids,
            self.separator_id,
        )

    def look(self, row: Row) -> RowPreview:
        """The row's tokens. Raises UserError for one that cannot be trained on."""
        told: list[str] = []
        whole = self._encoded(row, told)
        limit = self.limits[row.kind]
        told += self._of_length(row, whole, limit)
        if whole.retokenized:
            told.append("a token spans prompt and response")
        if whole.special_in_text:
            told.append("a special token's name in the text is encoded as plain text")
        kept = limit.tokens if row.kind == "chat" else NO_LIMIT
        ids, trained = whole.ids[:MAX_TOKENS], whole.trained[:MAX_TOKENS]
        pieces = tuple(self._pieces(ids, list(map(bool, trained)), kept))
        return RowPreview(pieces, len(whole.ids), whole.n_trained, limit.tokens, tuple(told))

    def count(self, row: Row) -> int:
        """The row's length in tokens, 0 for one that cannot be trained on."""
        try:
            return len(self._encoded(row, []).ids)
        except UserError:
            return 0

    def _of_length(self, row: Row, whole: TrainingSequence, limit: Limit) -> Iterator[str]:
        length = len(whole.ids)
        if length > limit.tokens and row.kind == "chat":
            over = f"{quantity(length - limit.tokens, 'token')} over the limit of {limit.tokens:,}"
            yield f"{over}: {ON_CUT[limit.on_cut]}"
        elif length > limit.tokens:
            sequences = -(-(length - 1) // (limit.tokens - 1))
            yield f"{quantity(sequences, 'sequence')} of {limit.tokens:,} tokens"
        if length > MAX_TOKENS:
            yield f"the first {MAX_TOKENS:,} of {length:,} tokens are shown"

    def _encoded(self, row: Row, told: list[str]) -> TrainingSequence:
        if row.messages and self.template is None:
            raise UserError("the base model has no chat template", hint="set model.chat_template")
        if len(row.text) > MAX_CHARS:
            told.append(f"the first {MAX_CHARS:,} of {len(row.text):,} characters")
            row = replace(row, text=row.text[:MAX_CHARS])
        rows, encoder = with_system([row], self.system), self.encoder(row.kind)
        (found,) = encoder.encode_rows(rows, encoder, self._tokenize)
        if found.by_turn:
            told.append("each turn becomes a separate row; this is the last one")
        last = found.parts[-1]
        if isinstance(last, Fault):
            raise UserError(last.message, hint=last.hint)
        return last

    def _tokenize(self, texts: list[str]) -> Callable[[], list[array[int]]]:
        """At once: for one row a thread costs more than it saves."""
        ids = self.tokenizer.encode_batch(texts)
        return lambda: ids

    def _pieces(
        self, ids: Sequence[int], trained: Sequence[bool], limit: int
    ) -> Iterator[PreviewToken]:
        """Token by token; the one before goes along, as some decoders drop a leading space."""
        special = set(self.tokenizer.special_tokens.values())
        before: list[int] = []
        open_ids: list[int] = []
        for number, token in enumerate(ids):
            open_ids.append(token)
            known = self.tokenizer.decode(before)
            text = self.tokenizer.decode([*before, *open_ids])[len(known) :]
            whole = not text.endswith(INCOMPLETE) or len(open_ids) == MAX_CHARACTER_TOKENS
            if whole or number + 1 == len(ids):
                is_special = token in special
                yield PreviewToken(
                    text, tuple(open_ids), trained[number], is_special, number >= limit
                )
                before, open_ids = open_ids, []
