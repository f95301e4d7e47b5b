"""Rows between reading and the split: duplicates are dropped, near duplicates and leaks are found.

Pure functions. White space does not count in comparisons. Near duplicates are texts that share 85%
of their word 5-grams (Jaccard similarity). The search is exact, not sampled (see `ngram_index`),
so that the same rows give the same result; it refuses more than 100,000 texts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Literal

from workbench.core.errors import UserError
from workbench.dataset.rows import ASSISTANT, ROLES, SYSTEM, Message, Row

if TYPE_CHECKING:
    from workbench.dataset.ngram_index import GramIndex

THRESHOLD = 0.85
MAX_TEXTS = 100_000


def near_duplicates(texts: Iterable[str], threshold: float = THRESHOLD) -> dict[int, int]:
    """{index of a text: index of the earlier one that it resembles}; case does not count.

    A text that is itself such a duplicate is nobody's original: what is left when all of them are
    dropped holds no two that are alike. No text is kept, only its grams. Raises UserError beyond
    the limit.
    """
    index = _index(texts, threshold)
    near: dict[int, int] = {}
    for number, same in enumerate(index.same):
        if same != number:  # it resembles the same texts as the other
            near[number] = near.get(same, same)
            continue
        original = index.first_alike(number)
        if original is None:
            index.add(number)
        else:
            near[number] = original
    return near


def near_groups(texts: Iterable[str], threshold: float = THRESHOLD) -> list[int]:
    """For each text the first of its group; whoever is alike, by however many steps, is in one.

    Raises UserError beyond the limit.
    """
    return _index(texts, threshold).groups()


def root(roots: list[int], number: int) -> int:
    """The first of the number's group; the way to it becomes shorter."""
    while roots[number] != number:
        roots[number] = roots[roots[number]]
        number = roots[number]
    return number


def join(roots: list[int], one: int, other: int) -> None:
    """Make one group of two."""
    one, other = root(roots, one), root(roots, other)
    roots[max(one, other)] = min(one, other)


def _index(texts: Iterable[str], threshold: float) -> GramIndex:
    """The texts' index, which has none of them yet. What needs numpy is loaded here only."""
    from workbench.dataset.ngram_index import GramIndex, gram_sets

    sets = list(gram_sets(islice(texts, MAX_TEXTS + 1)))
    if len(sets) > MAX_TEXTS:
        what = f"near-duplicate search is limited to {MAX_TEXTS:,} rows"
        raise UserError(what, hint='set data.dedupe = "exact"')
    return GramIndex(sets, threshold)


Dedupe = Literal["none", "exact", "near"]
Duplicates = list[tuple[Row, Row]]
_BETWEEN, HEAD_END = b"\x1e", b"\x1f"  # parts, and a turn's role and words
_WIDE_SPACE = (b"\xc2", b"\xe1", b"\xe2", b"\xe3")  # begin all white space beyond ASCII
_ASCII_SPACE = b" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f"


def without_whitespace(text: str) -> bytes:
    """`text` in UTF-8 without its white space: what differs in layout alone is the same."""
    if text.isascii():
        return text.encode().translate(None, _ASCII_SPACE)
    raw = text.encode("utf-8", "surrogatepass")
    if not any(lead in raw for lead in _WIDE_SPACE):
        return raw.translate(None, _ASCII_SPACE)
    return "".join(text.split()).encode("utf-8", "surrogatepass")


def key_parts(row: Row, said: Sequence[str] = ()) -> tuple[list[bytes], int, int]:
    """(what the row says in parts, how many of them ask for the last answer, for the first).

    The tools that are offered come first, then each turn with its role. A document is one part.
    `said` is `row.said()`, where that is known already.
    """
    if not row.messages:
        return [without_whitespace(row.text)], 1, 1
    parts = [json.dumps(row.tools, sort_keys=True).encode()] if row.tools else []
    prompt = opening = 0
    for message, text in zip(row.messages, said or row.said(), strict=True):
        role = message.role
        if role == ASSISTANT:
            prompt = len(parts)
            opening = opening or prompt
        parts.append((_HEADS.get(role) or _head(role)) + without_whitespace(text))
    return parts, prompt or len(parts), opening or len(parts)


def _head(role: str) -> bytes:
    return role.encode() + HEAD_END


_HEADS = {role: _head(role) for role in ROLES}


def row_key(row: Row) -> bytes:
    """Equal for rows that say the same, white space apart."""
    return _BETWEEN.join(key_parts(row)[0])


def prompt_key(row: Row) -> bytes:
    """Equal for rows that ask the same: the last answer's prompt; a document is its own prompt."""
    parts, prompt, _ = key_parts(row)
    return _BETWEEN.join(parts[:prompt])


def first_turn_key(row: Row) -> bytes:
    """Equal for rows that began alike, up to the first answer: one may then hold the other's."""
    parts, _, opening = key_parts(row)
    return _BETWEEN.join(parts[:opening])


def row_text(row: Row) -> str:
    """All that the row says, a turn a line: what near duplicates are sought in."""
    return "\n".join(row.said())


def dedupe(rows: Sequence[Row], how: Dedupe) -> tuple[list[Row], Duplicates]:
    """(rows that stay, pairs of a dropped row and the one it repeats). The first of each stays.

    `exact` is equal up to white space; `near` is besides alike in 85 % of its word 5-grams (see
    `dataset.near`), and raises UserError for more than 100,000 rows.
    """
    if how == "none":
        return list(rows), []
    first: dict[bytes, Row] = {}
    kept: list[Row] = []
    dropped: Duplicates = []
    for row in rows:
        known = first.setdefault(row_key(row), row)
        if known is row:
            kept.append(row)
        else:
            dropped.append((row, known))
    if how == "near":
        near = near_duplicates([row_text(row) for row in kept])
        dropped += [(kept[later], kept[earlier]) for later, earlier in near.items()]
        kept = [row for index, row in enumerate(kept) if index not in near]
    return kept, dropped


def find_leaks(train: Iterable[Row], held_out: Iterable[Row]) -> Duplicates:
    """Pairs (training row, held-out row) that begin with the same prompt, white space apart."""
    known: dict[bytes, Row] = {}
    for row in train:
        known.setdefault(first_turn_key(row), row)
    found = ((known.get(first_turn_key(row)), row) for row in held_out)
    return [(seen, row) for seen, row in found if seen is not None]


def with_system(rows: Sequence[Row], system: str) -> list[Row]:
    """The rows with `system` before every conversation that has no system message of its own."""
    if not system:
        return list(rows)
    first = Message(SYSTEM, system)
    return [
        replace(row, messages=(first, *row.messages))
        if row.messages and row.messages[0].role != SYSTEM
        else row
        for row in rows
    ]
