"""Conversations and documents become token ids, each id marked as learnt or not.

The mask is found by rendering, never by searching for markers. For the assistant's turn i, the
text rendered up to it with the generation prompt must be the beginning of the text rendered with
it; what follows is the turn, learnt up to and including the stop token that ends it. What the
template puts after the stop token (a newline, say) is not learnt, as no model is asked for it.

The whole conversation is tokenized once. Where the ids of the prompt are the beginning of the ids
of the whole, training sees exactly what inference will; where a token spans the seam, the mask goes
by characters and the row is counted as `retokenized`.

Control tokens inside a message are text: `<|im_end|>` typed by somebody must not end a turn. Their
names are cut after the first character and the pieces tokenized apart, as the chat does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

from workbench.dataset.rows import ASSISTANT, Fault, Message, Place, Row
from workbench.dataset.template import ChatTemplate
from workbench.dataset.tokenizer import Offsets, Tokenizer
from workbench.errors import UserError


@dataclass(frozen=True, slots=True)
class Encoded:
    """One training sequence. `trained[k]` says whether `ids[k]` is to be learnt."""

    ids: list[int]
    trained: list[bool]
    place: Place
    cut: bool = False  # the sequence was longer than allowed, its end is missing
    lost_stop: bool = False  # the cut took the stop token of the last turn
    retokenized: bool = False  # a token spans the seam between a prompt and its answer
    special_in_text: bool = False  # a message held the name of a control token
    length: int = 0  # tokens before cutting

    @property
    def n_trained(self) -> int:
        """Tokens that training predicts: the first of a sequence never is."""
        return sum(self.trained[1:])


@dataclass(frozen=True, slots=True)
class _Turn:
    """Characters of an assistant's turn in the rendered text, and ids of the prompt before it."""

    start: int
    end: int
    prompt: str


def encode_row(
    row: Row,
    template: ChatTemplate,
    tokenizer: Tokenizer,
    sequence_length: int,
    stop_ids: Sequence[int],
) -> Encoded | Fault:
    """The conversation as one sequence of at most `sequence_length` ids, or why it cannot be one.

    Messages after the last one that is learnt are left out. A fault with the code `rewrites` comes
    from a template that writes past turns otherwise than present ones: see `by_turn`.
    """
    learnt = [i for i, m in enumerate(row.messages) if m.role == ASSISTANT and m.train]
    if not learnt:
        return _fault(row, "nothing-trained", "no message of the row is to be learnt")
    try:
        messages, mark = _cut_names(row.messages[: learnt[-1] + 1], tokenizer)
        text = template.render(messages)
        if mark and text.replace(mark, "") != template.render(row.messages[: learnt[-1] + 1]):
            what = "the template cannot take a control token's name inside a message"
            return _fault(row, "special-token", what, "write it otherwise")
        turns = [_turn(row, template, messages, text, index) for index in learnt]
    except UserError as error:
        return _fault(row, "template", error.message, error.hint)
    for turn in turns:
        if isinstance(turn, Fault):
            return turn
    kept = [turn for turn in turns if isinstance(turn, _Turn)]
    return _encode(row, text, mark, kept, tokenizer, sequence_length, stop_ids)


def encode_prompt(
    messages: Sequence[Message], template: ChatTemplate, tokenizer: Tokenizer
) -> list[int]:
    """Ids that ask for the assistant's next turn. Raises UserError from the template."""
    marked, mark = _cut_names(messages, tokenizer)
    ids, _ = _tokenize(template.render(marked, add_generation_prompt=True), mark, tokenizer)
    return [*_bos(ids, tokenizer), *ids]


def encode_text(
    row: Row, tokenizer: Tokenizer, sequence_length: int, separator_id: int
) -> list[Encoded]:
    """The document as sequences of at most `sequence_length` ids, all of them learnt.

    The separator ends the document. A sequence after the first begins with the last id of the one
    before, as context: that one is not learnt again, and so each id is predicted exactly once.
    Control tokens' names in the document stay text.
    """
    marked, mark = _cut_text(row.text, tokenizer)
    ids, _ = _tokenize(marked, mark, tokenizer)
    ids = [*_bos(ids, tokenizer), *ids, separator_id]
    step = sequence_length - 1
    blocks = []
    for start in range(0, max(1, len(ids) - 1), step):
        block = ids[start : start + sequence_length]
        learnt = [start == 0, *[True] * (len(block) - 1)]
        blocks.append(
            Encoded(block, learnt, row.place, special_in_text=bool(mark), length=len(block))
        )
    return blocks


def by_turn(row: Row) -> list[Row]:
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


def _turn(
    row: Row, template: ChatTemplate, messages: Sequence[Message], text: str, index: int
) -> _Turn | Fault:
    """Where the turn of message `index` stands in `text`, proved by rendering."""
    prompt = template.render(messages[:index], add_generation_prompt=True)
    whole = text if index + 1 == len(messages) else template.render(messages[: index + 1])
    if not whole.startswith(prompt):
        what = f"the template does not go on from its generation prompt at message {index + 1}"
        return _fault(row, "prefix", what, "choose another model.chat_template")
    if not text.startswith(whole):
        what = f"the template writes message {index + 1} otherwise once another follows"
        return _fault(row, "rewrites", what, "train its turns as rows of their own")
    return _Turn(len(prompt), len(whole), prompt)


def _encode(
    row: Row,
    text: str,
    mark: str,
    turns: Sequence[_Turn],
    tokenizer: Tokenizer,
    sequence_length: int,
    stop_ids: Sequence[int],
) -> Encoded | Fault:
    ids, offsets = _tokenize(text, mark, tokenizer)
    lead = _bos(ids, tokenizer)
    trained, retokenized, last = [False] * len(ids), False, 0
    for turn in turns:
        first, proved = _first_token(turn, mark, tokenizer, ids, offsets)
        stop = _stop_token(ids, offsets, first, turn, stop_ids)
        if stop is None:
            what = "the template ends the assistant's turn without a stop token"
            return _fault(row, "no-stop", what, "choose another model.chat_template")
        trained[first : stop + 1] = [True] * (stop + 1 - first)
        retokenized, last = retokenized or not proved, stop
    ids, trained = [*lead, *ids], [*[False] * len(lead), *trained]
    cut = len(ids) > sequence_length
    return Encoded(
        ids[:sequence_length],
        trained[:sequence_length],
        row.place,
        cut=cut,
        lost_stop=cut and last + len(lead) >= sequence_length,
        retokenized=retokenized,
        special_in_text=bool(mark),
        length=len(ids),
    )


def _first_token(
    turn: _Turn, mark: str, tokenizer: Tokenizer, ids: list[int], offsets: Offsets
) -> tuple[int, bool]:
    """(index of the turn's first token, whether the prompt's ids are proved to be a prefix)."""
    before, _ = _tokenize(turn.prompt, mark, tokenizer)
    if ids[: len(before)] == before:
        return len(before), True
    return next((i for i, (start, _) in enumerate(offsets) if start >= turn.start), len(ids)), False


def _stop_token(
    ids: list[int], offsets: Offsets, first: int, turn: _Turn, stop_ids: Sequence[int]
) -> int | None:
    """Index of the first stop token in the turn: there generation will end."""
    for index in range(first, len(ids)):
        if offsets[index][0] >= turn.end:
            return None
        if ids[index] in stop_ids:
            return index
    return None


def _tokenize(text: str, mark: str, tokenizer: Tokenizer) -> tuple[list[int], Offsets]:
    """Ids and offsets of a rendered text whose marks say where control tokens' names were cut."""
    if not mark or mark not in text:
        return tokenizer.encode(text)
    ids: list[int] = []
    offsets: Offsets = []
    at = 0
    for piece in text.split(mark):
        if piece:
            piece_ids, piece_offsets = tokenizer.encode(piece)
            ids += piece_ids
            offsets += [(start + at, end + at) for start, end in piece_offsets]
        at += len(piece) + len(mark)
    return ids, offsets


def _cut_names(
    messages: Sequence[Message], tokenizer: Tokenizer
) -> tuple[tuple[Message, ...], str]:
    """(messages with a mark inside every control token's name, the mark); `""` if there is none."""
    pattern = tokenizer.special_pattern
    if pattern is None or not any(pattern.search(m.content) for m in messages):
        return tuple(messages), ""
    mark = unused_mark([m.content for m in messages])
    cut = (_split_names(m.content, tokenizer, mark) for m in messages)
    return tuple(replace(m, content=c) for m, c in zip(messages, cut, strict=True)), mark


def _cut_text(text: str, tokenizer: Tokenizer) -> tuple[str, str]:
    pattern = tokenizer.special_pattern
    if pattern is None or not pattern.search(text):
        return text, ""
    mark = unused_mark([text])
    return _split_names(text, tokenizer, mark), mark


def _split_names(text: str, tokenizer: Tokenizer, mark: str) -> str:
    assert tokenizer.special_pattern is not None
    return tokenizer.special_pattern.sub(lambda found: found[0][0] + mark + found[0][1:], text)


def unused_mark(texts: Sequence[str]) -> str:
    """A short word, of characters that no template changes, which is in none of the texts."""
    for number in count():
        mark = f"\ue000{number}\ue001"
        if not any(mark in text for text in texts):
            return mark
    raise AssertionError("unreachable")


def _bos(ids: list[int], tokenizer: Tokenizer) -> list[int]:
    """What is to be put before `ids` so that they begin with BOS where the model wants it."""
    bos = tokenizer.bos_id
    return [] if bos is None or ids[:1] == [bos] else [bos]


def _fault(row: Row, code: str, message: str, hint: str = "") -> Fault:
    return Fault(row.place, code, message, hint)
