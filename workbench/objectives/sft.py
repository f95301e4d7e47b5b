"""Supervised fine-tuning: the assistant's responses in conversations.

Its sample prompts are held-out conversations up to their last response, as a chat would send them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from workbench.objectives.base import (
    LossKind,
    ObjectiveName,
    SamplePrompt,
    SampleRows,
    last_user_text,
)

if TYPE_CHECKING:
    from workbench.dataset.rows import Row, RowKind
    from workbench.tokenization.chat_template import ChatTemplate
    from workbench.tokenization.encoder import EncodeRows
    from workbench.tokenization.tokenizer import BackendTokenizer


@dataclass(frozen=True)
class SupervisedFineTuning:
    """The objective `sft`."""

    name: ObjectiveName = "sft"
    title: str = "responses in conversations"
    trains_on: str = "the assistant's tokens only"
    data_title: str = "conversations"
    row_kind: RowKind = "chat"
    loss: LossKind = "cross_entropy"
    needs_chat_template: bool = True

    def encoding(self) -> EncodeRows:
        """Conversations through the chat template; trained are the assistant's turns."""
        from workbench.tokenization.conversations import encode_conversations

        return encode_conversations

    def sample_prompts(
        self,
        rows: SampleRows,
        tokenizer: BackendTokenizer,
        template: Callable[[], ChatTemplate],
        count: int,
    ) -> list[SamplePrompt]:
        """Conversations up to their last response; of the held-out ones, every category first."""
        from workbench.dataset.duplicates import with_system
        from workbench.tokenization.conversations import encode_prompt

        if rows.named is None:
            chosen = _categories_first(rows.held_out())
        else:
            chosen = with_system([_as_conversation(row) for row in rows.named], rows.system)
        chat_template, prompts = template(), []
        for row in chosen[:count]:
            asked = replace(row, messages=row.prompt_messages())
            ids = encode_prompt(asked.messages, chat_template, tokenizer, row.tools)
            prompts.append(SamplePrompt(last_user_text(asked), ids))
        return prompts


def _as_conversation(row: Row) -> Row:
    """A text becomes a message of the user."""
    from workbench.dataset.rows import USER, Message

    return row if row.messages else replace(row, messages=(Message(USER, row.text),), text="")


def _categories_first(rows: Iterable[Row]) -> list[Row]:
    """The first row of every category, then the others, each in their order."""
    firsts: dict[str, Row] = {}
    others = [row for row in rows if firsts.setdefault(row.category, row) is not row]
    return [*firsts.values(), *others]


SFT = SupervisedFineTuning()
