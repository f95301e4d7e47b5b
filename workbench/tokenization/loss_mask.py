"""Which tokens of a rendered conversation are trained: the assistant's turns, proved by rendering.

For the turn i, the text rendered up to it with the generation prompt must be the beginning of the
text rendered with it; what follows is the turn, trained up to and including the stop token that
ends it. What the template puts after the stop token (a newline, say) is not trained: no model is
asked for it.

Where the ids of the prompt are the beginning of the ids of the whole, training sees exactly what
inference will. Control tokens split a text for the tokenizer, so it is enough to compare from the
last one before the turn on: what stands before it is tokenized alike in both. Where that cannot be
had, the whole prompt is tokenized; where a token spans the seam, the mask goes by characters and
the row counts as `retokenized`.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workbench.core.errors import UserError
from workbench.dataset.rows import ASSISTANT, Fault, Row
from workbench.tokenization.chat_template import ChatTemplate
from workbench.tokenization.control_tokens import encode_pieces, mark_control_tokens
from workbench.tokenization.sequences import positions_of
from workbench.tokenization.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class TrainedSpan:
    """Characters [start, end) of a trained turn in the rendered text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class RenderedConversation:
    """A conversation as text. `mark` stands inside names of control tokens that are text."""

    row: Row
    text: str
    mark: str
    turns: tuple[TrainedSpan, ...]


@dataclass(frozen=True, slots=True)
class LossMask:
    """First and last trained token of each turn; whether one of them went by characters."""

    spans: list[tuple[int, int]]
    retokenized: bool


def render(row: Row, template: ChatTemplate, tokenizer: Tokenizer) -> RenderedConversation | Fault:
    """The conversation up to its last trained turn, or why it cannot be trained.

    A fault with the code `rewrites` comes from a template that writes past turns otherwise than
    present ones: see `conversations.split_by_turn`.
    """
    trained = [i for i, m in enumerate(row.messages) if m.role == ASSISTANT and m.train]
    if not trained:
        return Fault(row.place, "nothing-trained", "no message of the row is trained")
    until = trained[-1] + 1
    try:
        cut, mark = mark_control_tokens(row, tokenizer.special_pattern)
        text = template.render(cut.messages[:until], tools=cut.tools)
        if mark and text.replace(mark, "") != template.render(
            row.messages[:until], tools=row.tools
        ):
            what = "the template cannot handle a special token's name inside a message"
            return Fault(row.place, "special-token", what, "rephrase it")
        turns = [_turn(cut, template, text, index, until) for index in trained]
    except UserError as error:
        return Fault(row.place, "template", error.message, error.hint)
    faults = [turn for turn in turns if isinstance(turn, Fault)]
    if faults:
        return faults[0]
    return RenderedConversation(
        row, text, mark, tuple(turn for turn in turns if isinstance(turn, TrainedSpan))
    )


def locate_trained_tokens(
    rendered: RenderedConversation, ids: array[int], tokenizer: Tokenizer, stop_ids: Sequence[int]
) -> LossMask | Fault:
    """Where the trained tokens stand in `ids`, those of the whole text."""
    found = _by_anchors(rendered, ids, tokenizer, stop_ids)
    if found is None:
        found = _by_prompts(rendered, ids, tokenizer, stop_ids)
    if found is not None:
        return found
    what = "the chat template does not end the assistant's turn with a stop token"
    return Fault(rendered.row.place, "no-stop", what, "choose another model.chat_template")


def _turn(
    row: Row, template: ChatTemplate, text: str, index: int, until: int
) -> TrainedSpan | Fault:
    """Where the turn of message `index` stands in `text`, proved by rendering."""
    before, upto = row.messages[:index], row.messages[: index + 1]
    prompt = template.render(before, add_generation_prompt=True, tools=row.tools)
    whole = text if index + 1 == until else template.render(upto, tools=row.tools)
    if not whole.startswith(prompt):
        what = f"the template does not continue its generation prompt at message {index + 1}"
        return Fault(row.place, "prefix", what, "choose another model.chat_template")
    if not text.startswith(whole):
        what = f"the template renders message {index + 1} differently once another follows"
        return Fault(row.place, "rewrites", what, "train each turn as a separate row")
    return TrainedSpan(len(prompt), len(whole))


def _by_anchors(
    rendered: RenderedConversation, ids: array[int], tokenizer: Tokenizer, stop_ids: Sequence[int]
) -> LossMask | None:
    """The mask by the control tokens in the text; None where it is not proved by them."""
    pattern, known = tokenizer.special_pattern, tokenizer.special_tokens
    if rendered.mark or pattern is None or not tokenizer.splits_at_special:
        return None
    if not set(stop_ids) <= set(known.values()):
        return None
    names = list(pattern.finditer(rendered.text))
    places = _positions([known[name[0]] for name in names], ids)
    if places is None:
        return None
    starts = [name.start() for name in names]
    spans = []
    for turn in rendered.turns:
        anchor = bisect_right(starts, turn.start - 1) - 1
        if anchor < 0 or names[anchor].end() > turn.start:
            return None
        tail = tokenizer.encode_again(rendered.text[starts[anchor] : turn.start])
        first = places[anchor] + len(tail)
        if ids[places[anchor] : first] != tail:
            return None
        stop = _first_stop(names, known, places, anchor + 1, turn, stop_ids)
        if stop is None:
            return None
        spans.append((first, stop))
    return LossMask(spans, retokenized=False)


def _positions(expected: Sequence[int], ids: array[int]) -> list[int] | None:
    """Where in `ids` these control tokens stand; None unless `ids` hold just these of them."""
    found = positions_of(set(expected), ids)
    return found if [ids[at] for at in found] == expected else None


def _first_stop(
    names: Sequence[re.Match[str]],
    known: Mapping[str, int],
    places: Sequence[int],
    after: int,
    turn: TrainedSpan,
    stop_ids: Sequence[int],
) -> int | None:
    """Index of the first stop token in the turn, from the control token `after` on."""
    for number in range(after, len(names)):
        if names[number].start() >= turn.end:
            return None
        if known[names[number][0]] in stop_ids:
            return places[number]
    return None


def _by_prompts(
    rendered: RenderedConversation, ids: array[int], tokenizer: Tokenizer, stop_ids: Sequence[int]
) -> LossMask | None:
    """The mask by each prompt's ids, else by characters; None where a turn has no stop token."""
    _, offsets = encode_pieces(rendered.text, rendered.mark, tokenizer)
    spans, retokenized = [], False
    for turn in rendered.turns:
        before, _ = encode_pieces(rendered.text[: turn.start], rendered.mark, tokenizer)
        first = len(before)
        if ids[:first].tolist() != before:
            retokenized = True
            first = next((i for i, (at, _) in enumerate(offsets) if at >= turn.start), len(ids))
        ends = range(first, len(ids))
        inside = (i for i in ends if offsets[i][0] < turn.end and ids[i] in stop_ids)
        stop = next(inside, None)
        if stop is None:
            return None
        spans.append((first, stop))
    return LossMask(spans, retokenized)
