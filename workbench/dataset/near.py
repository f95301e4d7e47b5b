"""Near duplicates: texts that share 85 % of their word 5-grams (Jaccard similarity), found exactly.

Not by sampling: two sets as similar as that must share a 5-gram among the rarest few of each (the
prefix filter of Chaudhuri et al., ICDE 2006), so an inverted index over those few finds every pair.
Cost: about linear for texts that differ; at worst, where thousands share their rare words, the
square of that number. Refused beyond 100,000 texts.
"""

from __future__ import annotations

import math
import re
from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TypeAlias

from workbench.errors import UserError

THRESHOLD = 0.85
GRAM_WORDS = 5
MAX_TEXTS = 100_000
BUCKETS = 1 << 20
Grams: TypeAlias = "array[int]"  # of 64-bit hashes, each once
_WORD = re.compile(r"\w+|[^\w\s]")


def near_duplicates(texts: Iterable[str], threshold: float = THRESHOLD) -> dict[int, int]:
    """{index of a text: index of the earlier one that it resembles}; case does not count.

    A text that is itself such a duplicate is nobody's original. No text is kept, only its grams.
    Raises UserError beyond the limit.
    """
    gram_lists = [grams(text) for text in islice(texts, MAX_TEXTS + 1)]
    if len(gram_lists) > MAX_TEXTS:
        hint = 'set data.dedupe = "exact"'
        raise UserError(f"near duplicates are sought among {MAX_TEXTS:,} rows at most", hint=hint)
    rarity = _rarity(gram_lists)
    index: dict[int, list[int]] = defaultdict(list)
    near: dict[int, int] = {}
    for number, found in enumerate(gram_lists):
        prefix = _prefix(found, rarity, threshold)
        candidates = sorted({other for gram in prefix for other in index[gram]})
        own = frozenset(found)
        original = next((o for o in candidates if alike(own, gram_lists[o], threshold)), None)
        if original is not None:
            near[number] = original
        else:
            for gram in prefix:
                index[gram].append(number)
    return near


def grams(text: str) -> Grams:
    """Hashes of the text's different word 5-grams; of all its words, where there are fewer."""
    words = _WORD.findall(text.lower())
    last = max(1, len(words) - GRAM_WORDS + 1)
    return array("q", {hash(tuple(words[at : at + GRAM_WORDS])) for at in range(last)})


def alike(left: frozenset[int], right: Grams, threshold: float) -> bool:
    """Whether the Jaccard similarity of two sets of 5-grams reaches the threshold."""
    small, large = sorted((len(left), len(right)))
    if small < threshold * large:
        return False
    shared = sum(gram in left for gram in right)
    return shared >= threshold * (len(left) + len(right) - shared)


def _rarity(gram_lists: Sequence[Grams]) -> Grams:
    """How often grams occur, by the lowest bits of their hash: any fixed order will do."""
    counts = array("q", bytes(8 * BUCKETS))
    for found in gram_lists:
        for gram in found:
            counts[gram % BUCKETS] += 1
    return counts


def _prefix(found: Grams, rarity: Grams, threshold: float) -> list[int]:
    """The rarest grams: any set as similar as `threshold` has one of its own rarest among them."""
    length = len(found) - math.ceil(threshold * len(found)) + 1
    return sorted(found, key=lambda gram: (rarity[gram % BUCKETS], gram))[:length]
