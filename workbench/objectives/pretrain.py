"""Continued pretraining: every token of raw text.

Its sample prompts are the first words of validation documents, for the model to continue.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.objectives.base import (
    LossKind,
    ObjectiveName,
    SamplePrompt,
    SampleRows,
    last_user_text,
)

if TYPE_CHECKING:
    from workbench.dataset.rows import RowKind
    from workbench.tokenization.chat_template import ChatTemplate
    from workbench.tokenization.encoder import EncodeRows
    from workbench.tokenization.tokenizer import BackendTokenizer

FIRST_TOKENS = 24  # of a validation document


@dataclass(frozen=True)
class Pretraining:
    """The objective `pretrain`."""

    name: ObjectiveName = "pretrain"
    title: str = "raw text"
    trains_on: str = "every token"
    data_title: str = "raw text"
    row_kind: RowKind = "text"
    loss: LossKind = "cross_entropy"
    needs_chat_template: bool = False

    def encoding(self) -> EncodeRows:
        """Documents in blocks; trained is every token."""
        from workbench.tokenization.documents import encode_documents

        return encode_documents

    def sample_prompts(
        self,
        rows: SampleRows,
        tokenizer: BackendTokenizer,
        template: Callable[[], ChatTemplate],
        count: int,
    ) -> list[SamplePrompt]:
        """Texts to continue: all of those that the preset names, or beginnings of documents."""
        if rows.named is None:
            texts = [row.text for row in rows.validation()]
            limit: int | None = FIRST_TOKENS
        else:
            texts, limit = [row.text or last_user_text(row) for row in rows.named], None
        lead = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
        prompts = []
        for text in texts[:count]:
            ids, offsets = tokenizer.encode(text)
            shown = text[: offsets[:limit][-1][1]] if ids else ""
            prompts.append(SamplePrompt(shown, [*lead, *ids[:limit]] if ids else []))
        return prompts


PRETRAIN = Pretraining()
