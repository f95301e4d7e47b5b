"""A reasoning block with nothing in it, as Qwen3 begins responses without reasoning, is not shown.

Only what people and programs see goes without it: the conversation that the model reads keeps it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

OPEN, CLOSE = "<think>", "</think>"


def without_empty_reasoning(text: str) -> str:
    """The response `text` without an empty block at its beginning, and the space around that."""
    rest = text.lstrip()
    for tag in (OPEN, CLOSE):
        if not rest.startswith(tag):
            return text
        rest = rest.removeprefix(tag).lstrip()
    return rest


def shown(pieces: Iterable[str]) -> Iterator[str]:
    """The pieces of a response without an empty block, each as soon as it cannot belong to one."""
    held, deciding = "", True
    for piece in pieces:
        if not deciding:
            yield piece
            continue
        held += piece
        deciding = _may_become_empty(held)
        if not deciding and (text := without_empty_reasoning(held)):
            yield text
    if deciding and (text := without_empty_reasoning(held)):
        yield text


def _may_become_empty(text: str) -> bool:
    """Whether `text` is the beginning of an empty block and of the space around it."""
    rest = text.lstrip()
    for tag in (OPEN, CLOSE):
        if not rest.startswith(tag):
            return tag.startswith(rest)
        rest = rest.removeprefix(tag).lstrip()
    return not rest
