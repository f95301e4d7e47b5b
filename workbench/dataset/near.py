"""Near duplicates: texts that share 85 % of their word 5-grams (Jaccard similarity), found exactly.

Not by sampling: two sets as similar as that must share a 5-gram among the rarest few of each (the
prefix filter of Chaudhuri et al., ICDE 2006), so an inverted index over those few finds every pair.
Most pairs that it finds in vain are told apart by the bits of a bitmap (Sandes et al., 2020: bits
in which two differ are grams in which they differ) before their grams are compared.
Cost: about linear for texts that differ; at worst, where thousands share their rare words, the
square of that number. Refused beyond 100,000 texts.
"""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeAlias

from workbench.errors import UserError

THRESHOLD = 0.85
GRAM_WORDS = 5
MAX_TEXTS = 100_000
COUNTED_TEXTS = 5_000
RARE = 2
BUCKETS = 1 << 20
BITMAP_MASK = 1023
Grams: TypeAlias = "array[int]"  # of 64-bit hashes, each once
_WORD = re.compile(r"\w+|[^\w\s]")


def near_duplicates(texts: Iterable[str], threshold: float = THRESHOLD) -> dict[int, int]:
    """{index of a text: index of the earlier one that it resembles}; case does not count.

    A text that is itself such a duplicate is nobody's original: what is left when all of them are
    dropped holds no two that are alike. No text is kept, only its grams. Raises UserError beyond
    the limit.
    """
    index = _Index(texts, threshold)
    near: dict[int, int] = {}
    for number in range(len(index)):
        original = next(index.alike(number), None)
        if original is None:
            index.add(number)
        else:
            near[number] = original
    return near


def near_groups(texts: Iterable[str], threshold: float = THRESHOLD) -> list[int]:
    """For each text the first of its group; whoever is alike, by however many steps, is in one.

    Raises UserError beyond the limit.
    """
    index = _Index(texts, threshold)
    roots = list(range(len(index)))
    for number in range(len(index)):
        for other in index.candidates(number):
            if root(roots, other) != root(roots, number) and index.compare(number, other):
                join(roots, number, other)
        index.add(number)
    return [root(roots, number) for number in range(len(roots))]


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


def grams(text: str) -> Grams:
    """Hashes of the text's different word 5-grams; of all its words, where there are fewer."""
    words = _WORD.findall(text.lower())
    if len(words) < GRAM_WORDS:
        return array("q", (hash(tuple(words)),))
    return array("q", set(map(hash, zip(*(words[at:] for at in range(GRAM_WORDS)), strict=False))))


class _Index:
    """The texts' grams, and which of the texts that were added hold a rare one."""

    def __init__(self, texts: Iterable[str], threshold: float) -> None:
        self._grams = [grams(text) for text in islice(texts, MAX_TEXTS + 1)]
        if len(self._grams) > MAX_TEXTS:
            hint = 'set data.dedupe = "exact"'
            what = f"near duplicates are sought among {MAX_TEXTS:,} rows at most"
            raise UserError(what, hint=hint)
        self._threshold = threshold
        self._often = _often(self._grams)
        self._holders: dict[int, list[int]] = defaultdict(list)
        self._bitmaps: dict[int, int] = {}
        self._own: tuple[int, frozenset[int]] = (-1, frozenset())
        self._rarest: tuple[int, list[int]] = (-1, [])

    def __len__(self) -> int:
        return len(self._grams)

    def add(self, number: int) -> None:
        """From now on the text may be found."""
        for gram in self._prefix(number):
            self._holders[gram].append(number)

    def alike(self, number: int) -> Iterator[int]:
        """The added texts that reach the threshold, in order."""
        return (other for other in self.candidates(number) if self.compare(number, other))

    def candidates(self, number: int) -> list[int]:
        """The added texts that may reach the threshold, in order.

        Sets of a and b grams that reach the threshold t differ in at most (a + b)(1 - t)/(1 + t).
        """
        holders = self._holders
        found = {other for gram in self._prefix(number) for other in holders.get(gram, ())}
        if not found:
            return []
        own, length = self._bitmap(number), len(self._grams[number])
        share = (1 - self._threshold) / (1 + self._threshold) + 1e-9
        return sorted(
            other
            for other in found
            if (own ^ self._bitmap(other)).bit_count() <= (length + len(self._grams[other])) * share
        )

    def compare(self, number: int, other: int) -> bool:
        """Whether two texts reach the threshold."""
        if self._own[0] != number:  # several are compared with one
            self._own = number, frozenset(self._grams[number])
        own, others = self._own[1], self._grams[other]
        small, large = sorted((len(own), len(others)))
        if small < self._threshold * large:
            return False
        shared = sum(gram in own for gram in others)
        return shared >= self._threshold * (len(own) + len(others) - shared)

    def _prefix(self, number: int) -> list[int]:
        """The rarest grams: a set as similar as the threshold has one of its own rarest in them."""
        if self._rarest[0] != number:  # asked for when it is sought, and when it is added
            found, often = self._grams[number], self._often
            length = len(found) - math.ceil(self._threshold * len(found)) + 1
            order = sorted([gram for gram in found if gram % BUCKETS not in often])
            if len(order) < length:
                rest = (gram for gram in found if gram % BUCKETS in often)
                order += sorted(rest, key=lambda gram: (often[gram % BUCKETS], gram))
            self._rarest = number, order[:length]
        return self._rarest[1]

    def _bitmap(self, number: int) -> int:
        """1,024 bits, of which each gram sets one."""
        found = self._bitmaps.get(number)
        if found is None:
            found = 0
            for gram in self._grams[number]:
                found |= 1 << (gram & BITMAP_MASK)
            self._bitmaps[number] = found
        return found


def _often(gram_lists: Sequence[Grams]) -> dict[int, int]:
    """How often the grams that are not rare occur in some of the texts, by a hash of theirs.

    Any fixed order of grams will do; one that puts the rare ones first makes for few candidates.
    """
    counts: Counter[int] = Counter()
    for found in gram_lists[:: max(1, len(gram_lists) // COUNTED_TEXTS)]:
        counts.update([gram % BUCKETS for gram in found])
    return {bucket: count for bucket, count in counts.items() if count > RARE}
