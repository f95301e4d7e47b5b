"""Names of control tokens inside a message stay text: `<|im_end|>` typed by somebody ends no turn.

Before rendering, each such name is cut after its first character by a mark that stands nowhere
else; the rendered text is then tokenized piece by piece between the marks, as the chat does it.
Content, reasoning, calls of tools and the tools themselves are treated alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from workbench.dataset.rows import Message, Row
from workbench.tokenization.tokenizer import Offsets, Tokenizer


def mark_control_tokens(row: Row, pattern: re.Pattern[str] | None) -> tuple[Row, str]:
    """(row with a mark inside every name that `pattern` finds, the mark); `""` without any."""
    if pattern is None or not any(map(pattern.search, _texts(row))):
        return row, ""
    mark = unused_mark(list(_texts(row)))
    cut = _Cutter(pattern, mark)
    messages = tuple(cut.message(message) for message in row.messages)
    return replace(
        row, messages=messages, tools=cut.value(row.tools), text=cut.text(row.text)
    ), mark


def unused_mark(texts: Sequence[str]) -> str:
    """A short word, of characters that no template changes, which is in none of the texts."""
    for number in count():
        mark = f"\ue000{number}\ue001"
        if not any(mark in text for text in texts):
            return mark
    raise AssertionError("unreachable")


def encode_pieces(text: str, mark: str, tokenizer: Tokenizer) -> tuple[list[int], Offsets]:
    """Ids and offsets of a text whose marks say where names were cut."""
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


def bos_before(ids: Sequence[int], tokenizer: Tokenizer) -> list[int]:
    """The ids to put before `ids` so that they begin with BOS if the model expects it."""
    bos = tokenizer.bos_id
    return [] if bos is None or (ids and ids[0] == bos) else [bos]


class _Cutter:
    """Puts a mark into names, however deep they are nested."""

    def __init__(self, pattern: re.Pattern[str], mark: str) -> None:
        self._pattern, self._mark = pattern, mark

    def text(self, text: str) -> str:
        """Cut until no name is left: one may stand within another."""
        while (cut := self._pattern.sub(self._in_two, text)) != text:
            text = cut
        return text

    def _in_two(self, found: re.Match[str]) -> str:
        return found[0][0] + self._mark + found[0][1:]

    def message(self, message: Message) -> Message:
        return replace(
            message,
            content=self.text(message.content),
            reasoning=self.text(message.reasoning),
            tool_calls=self.value(message.tool_calls),
            tool_call_id=self.text(message.tool_call_id),
            name=self.text(message.name),
        )

    def value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, (list, tuple)):
            return type(value)(map(self.value, value))
        if isinstance(value, dict):
            return {self.text(key): self.value(entry) for key, entry in value.items()}
        return value


def _texts(row: Row) -> Iterator[str]:
    yield row.text
    for message in row.messages:
        yield message.content
        if message.reasoning:
            yield message.reasoning
        if message.tool_call_id or message.name:
            yield f"{message.tool_call_id}\n{message.name}"
        yield from _strings(message.tool_calls)
    yield from _strings(row.tools)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from _strings(entry)
    elif isinstance(value, dict):
        yield from value
        for entry in value.values():
            yield from _strings(entry)
