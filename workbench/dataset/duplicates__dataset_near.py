"""Near duplicates: texts that share 85 % of their word 5-grams (Jaccard similarity), found exactly.

Not by sampling: all pairs that are so alike are found (`dataset.gram_index` says how), so that the
same rows give the same result. Refused beyond 100,000 texts.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

from workbench.core.errors import UserError

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
    from workbench.dataset.ngram_index import GramIndex
    from workbench.dataset.ngram_index__dataset_grams import gram_sets

    sets = list(gram_sets(islice(texts, MAX_TEXTS + 1)))
    if len(sets) > MAX_TEXTS:
        what = f"near-duplicate search is limited to {MAX_TEXTS:,} rows"
        raise UserError(what, hint='set data.dedupe = "exact"')
    return GramIndex(sets, threshold)
