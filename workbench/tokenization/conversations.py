"""Conversations and documents become token ids, each marked as trained or not.

Rows come in batches, so that the tokenizer works on several at a time, on all cores. `loss_mask`
decides which tokens are trained; names of control tokens stay text (`control_tokens`).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from workbench.dataset.rows import ASSISTANT, Fault, Message, Place, Row
from workbench.tokenization.chat_template import ChatTemplate
from workbench.tokenization.control_tokens import encode_pieces, mark_control_tokens
from workbench.tokenization.loss_mask import (
    LossMask,
    RenderedConversation,
    locate_trained_tokens,
    render,
)
from workbench.tokenization.sequences import TYPE
from workbench.tokenization.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class TrainingSequence:
    """One training sequence. `trained[k]` is 1 where `ids[k]` is to be learnt, else 0."""

    ids: array[int]
    trained: bytes
    place: Place
    cut: bool = False  # the sequence was longer than allowed, its end is missing
    lost_stop: bool = False  # the cut took the stop token of the last turn
    retokenized: bool = False  # a token spans the seam between a prompt and its answer
    special_in_text: bool = False  # a message held the name of a control token
    length: int = 0  # tokens before cutting

    @property
    def n_trained(self) -> int:
        """Tokens that training predicts: the first of a sequence never is."""
        return self.trained.count(1, 1)


def encode_row(
    row: Row,
    template: ChatTemplate,
    tokenizer: Tokenizer,
    sequence_length: int,
    stop_ids: Sequence[int],
) -> TrainingSequence | Fault:
    """The conversation as one sequence of at most `sequence_length` ids, or why it cannot be one.

    Messages after the last one that is learnt are left out. See `loss_mask.render` for its faults.
    """
    (found,) = encode_batch([row], template, tokenizer, sequence_length, stop_ids)
    return found


def encode_batch(
    rows: Sequence[Row],
    template: ChatTemplate,
    tokenizer: Tokenizer,
    sequence_length: int,
    stop_ids: Sequence[int],
) -> Iterator[TrainingSequence | Fault]:
    """As `encode_row`, for each of the rows in turn."""
    rendered = [render(row, template, tokenizer) for row in rows]
    ids = tokenizer.encode_batch(plain_texts(rendered))
    return encode_rendered(rendered, ids, tokenizer, sequence_length, stop_ids)


def plain_texts(rendered: Iterable[RenderedConversation | Fault]) -> list[str]:
    """The texts that the tokenizer can take as they are, without a mark."""
    return [one.text for one in rendered if isinstance(one, RenderedConversation) and not one.mark]


def encode_rendered(
    rendered: Iterable[RenderedConversation | Fault],
    plain_ids: Iterable[array[int]],
    tokenizer: Tokenizer,
    sequence_length: int,
    stop_ids: Sequence[int],
) -> Iterator[TrainingSequence | Fault]:
    """What becomes of each conversation; `plain_ids` are those of its `plain_texts`, in order."""
    encoded = iter(plain_ids)
    for one in rendered:
        if isinstance(one, Fault):
            yield one
            continue
        ids = (
            array(TYPE, encode_pieces(one.text, one.mark, tokenizer)[0])
            if one.mark
            else next(encoded)
        )
        mask = locate_trained_tokens(one, ids, tokenizer, stop_ids)
        yield (
            mask
            if isinstance(mask, Fault)
            else _sequence(one, ids, mask, tokenizer, sequence_length)
        )


def encode_prompt(
    messages: Sequence[Message],
    template: ChatTemplate,
    tokenizer: Tokenizer,
    tools: Sequence[dict[str, Any]] = (),
) -> list[int]:
    """Ids that ask for the assistant's next turn. Raises UserError from the template."""
    row = Row(Place("", 0), tuple(messages), tools=tuple(tools))
    cut, mark = mark_control_tokens(row, tokenizer.special_pattern)
    text = template.render(cut.messages, add_generation_prompt=True, tools=cut.tools)
    ids, _ = encode_pieces(text, mark, tokenizer)
    return [*_bos(ids, tokenizer), *ids]


def encode_document(
    row: Row, tokenizer: Tokenizer, sequence_length: int, separator_id: int
) -> list[TrainingSequence]:
    """The document as sequences of at most `sequence_length` ids, all of them learnt.

    The separator ends the document. A sequence after the first begins with the last id of the one
    before, as context: that one is not learnt again, and so each id is predicted exactly once.
    Control tokens' names in the document stay text.
    """
    cut, mark = mark_control_tokens(row, tokenizer.special_pattern)
    said, _ = encode_pieces(cut.text, mark, tokenizer)
    ids = array(TYPE, [*_bos(said, tokenizer), *said, separator_id])
    step = sequence_length - 1
    blocks = []
    for start in range(0, max(1, len(ids) - 1), step):
        block = ids[start : start + sequence_length]
        learnt = bytes([start == 0]) + b"\1" * (len(block) - 1)
        blocks.append(
            TrainingSequence(
                block, learnt, row.place, special_in_text=bool(mark), length=len(block)
            )
        )
    return blocks


def split_by_turn(row: Row) -> list[Row]:
    """One row for each learnt turn, with the messages up to it and only that turn learnt.

    For templates that rewrite past turns (dropping an earlier answer's reasoning, say): each turn
    is then trained on the very text that inference will show.
    """
    rows = []
    for index, message in enumerate(row.messages):
        if message.role == ASSISTANT and message.train:
            before = tuple(replace(m, train=False) for m in row.messages[:index])
            rows.append(replace(row, messages=(*before, message)))
    return rows


def _sequence(
    rendered: RenderedConversation,
    ids: array[int],
    mask: LossMask,
    tokenizer: Tokenizer,
    sequence_length: int,
) -> TrainingSequence:
    lead = array(TYPE, _bos(ids, tokenizer))
    ids = lead + ids
    trained = bytearray(len(ids))
    for first, stop in mask.spans:
        trained[len(lead) + first : len(lead) + stop + 1] = b"\1" * (stop + 1 - first)
    cut = len(ids) > sequence_length
    return TrainingSequence(
        ids[:sequence_length],
        bytes(trained[:sequence_length]),
        rendered.row.place,
        cut=cut,
        lost_stop=cut and mask.spans[-1][1] + len(lead) >= sequence_length,
        retokenized=mask.retokenized,
        special_in_text=bool(rendered.mark),
        length=len(ids),
    )


def _bos(ids: Sequence[int], tokenizer: Tokenizer) -> list[int]:
    """What is to be put before `ids` so that they begin with BOS where the model wants it."""
    bos = tokenizer.bos_id
    return [] if bos is None or (ids and ids[0] == bos) else [bos]
