"""Conversations become sequences of token ids, each id marked as trained or not.

Rows come in batches, so that the tokenizer works on several at a time, on all cores. `loss_mask`
decides which tokens are trained; names of control tokens stay text (`control_tokens`).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from workbench.dataset.rows import ASSISTANT, Fault, Message, Place, Row
from workbench.tokenization.chat_template import ChatTemplate
from workbench.tokenization.control_tokens import bos_before, encode_pieces, mark_control_tokens
from workbench.tokenization.encoder import Encoder, Tokenize
from workbench.tokenization.loss_mask import (
    LossMask,
    RenderedConversation,
    locate_trained_tokens,
    render,
)
from workbench.tokenization.sequences import TYPE, EncodedRow, TrainingSequence
from workbench.tokenization.tokenizer import Tokenizer


def encode_conversations(
    rows: Sequence[Row], encoder: Encoder, tokenize: Tokenize
) -> Iterator[EncodedRow]:
    """What becomes of each conversation, in order; `encoder` needs a template. See `EncodeRows`.

    Rendered when called; tokenized from then on, while the caller does something else.
    """
    assert encoder.template is not None, "conversations need a template"
    rendered = [render(row, encoder.template, encoder.tokenizer) for row in rows]
    return _encoded(rows, rendered, tokenize(plain_texts(rendered)), encoder, encoder.template)


def _encoded(
    rows: Sequence[Row],
    rendered: Sequence[RenderedConversation | Fault],
    plain_ids: Callable[[], list[array[int]]],
    encoder: Encoder,
    template: ChatTemplate,
) -> Iterator[EncodedRow]:
    tokenizer, length, stops = encoder.tokenizer, encoder.sequence_length, encoder.stop_ids
    found_parts = encode_rendered(rendered, plain_ids(), tokenizer, length, stops)
    for row, found in zip(rows, found_parts, strict=True):
        if isinstance(found, Fault) and found.code == "rewrites":
            turns = encode_batch(split_by_turn(row), template, tokenizer, length, stops)
            yield EncodedRow(row, [*turns], by_turn=True)
        else:
            yield EncodedRow(row, [found])


def encode_row(
    row: Row,
    template: ChatTemplate,
    tokenizer: Tokenizer,
    sequence_length: int,
    stop_ids: Sequence[int],
) -> TrainingSequence | Fault:
    """The conversation as one sequence of at most `sequence_length` ids, or why it cannot be one.

    Messages after the last one that is trained are left out. See `loss_mask.render` for its faults.
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
    return [*bos_before(ids, tokenizer), *ids]


def split_by_turn(row: Row) -> list[Row]:
    """One row for each trained turn, with the messages up to it and only that turn trained.

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
    lead = array(TYPE, bos_before(ids, tokenizer))
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
