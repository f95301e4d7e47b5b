"""An index of word 5-grams that finds every pair of texts above a similarity, for near duplicates.

A text is the set of its different word 5-grams, as sorted 64-bit hashes; all words of a shorter
text are one gram. Case and white space do not count. The hashes are Python's own of the words, so
they are valid in this process only.

Two similar sets must share a gram among the rarest few of each (the prefix filter of Chaudhuri et
al., ICDE 2006), so an inverted index over those few finds every pair. Bitmaps reject most of the
false candidates (Sandes et al., 2020: bits in which two differ are grams in which they differ)
before the grams are compared. Cost: about linear for texts that differ; in the worst case, with
thousands of texts that share their rare words, quadratic.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

GRAM_WORDS = 5
BATCH_WORDS = 1 << 16
BITMAP_BITS, BITMAPS_AT_ONCE = 1024, 512
Grams: TypeAlias = NDArray[np.uint64]  # sorted, each once
_WORD = re.compile(r"\w+|[^\w\s]")
_FILL = (hash("no word: it has white space"),) * GRAM_WORDS
_ODD = np.uint64(0x9E3779B97F4A7C15)  # the golden ratio's bits: a product with it mixes all below
_HALF = np.uint64(29)


def gram_sets(texts: Iterable[str]) -> Iterator[Grams]:
    """The grams of each text, in order; many texts are hashed at a time."""
    words, ends = array("q"), [0]
    for text in texts:
        found = _WORD.findall(text.lower())
        words.extend(map(hash, found))
        words.extend(_FILL[len(found) :])
        ends.append(len(words))
        if len(words) > BATCH_WORDS:
            yield from _sets(words, ends)
            words, ends = array("q"), [0]
    yield from _sets(words, ends)


def grams(text: str) -> Grams:
    """Hashes of the text's different word 5-grams; of all its words, where there are fewer."""
    return next(gram_sets([text]))


def bitmaps(sets: Sequence[Grams]) -> NDArray[np.uint64]:
    """1,024 bits for each set, of which each gram sets one: (sets, 16)."""
    bits = np.zeros((len(sets), BITMAP_BITS // 64), np.uint64)
    for begin in range(0, len(sets), BITMAPS_AT_ONCE):
        some = sets[begin : begin + BITMAPS_AT_ONCE]
        flags = np.zeros((len(some), BITMAP_BITS), np.bool_)
        number = np.repeat(np.arange(len(some)), [len(found) for found in some])
        flags[number, numbers_below(BITMAP_BITS, np.concatenate(some))] = True
        bits[begin : begin + len(some)] = np.packbits(flags, axis=1).view(np.uint64)
    return bits


def numbers_below(limit: int, found: Grams) -> NDArray[np.int64]:
    """A number from 0 for each gram, made of its last bits; `limit` is a power of two."""
    return (found & np.uint64(limit - 1)).view(np.int64)


def _sets(words: array[int], ends: Sequence[int]) -> Iterator[Grams]:
    """The grams of texts that end before these words."""
    hashes = np.frombuffer(words, np.uint64)
    last = len(words) - GRAM_WORDS + 1
    mixed = np.zeros(max(0, last), np.uint64)  # what begins at each word, across texts as well
    for at in range(GRAM_WORDS if ends[1:] else 0):
        mixed ^= hashes[at : last + at]
        mixed *= _ODD
        mixed ^= mixed >> _HALF
    for begin, end in zip(ends, ends[1:], strict=False):
        found = mixed[begin : end - GRAM_WORDS + 1]
        found.sort()
        new = found[1:] != found[:-1]
        yield found if new.all() else found[np.append(True, new)]


MAX_BUCKETS_LOG = 26
Numbers = NDArray[np.int32]
_NONE: Numbers = np.zeros(0, np.int32)
# A gram's rank: how many texts hold it, as far as 20 bits tell, then bits of its hash.
_COUNT_SHIFT = np.uint64(44)
_HASH_SHIFT = np.uint64(20)
_MAX_COUNT = np.uint64((1 << 20) - 1)
_HELD_TWICE = np.uint64(2 << 44)


class GramIndex:
    """The texts' grams, and which of the texts that were added hold a rare one.

    `same` has for each text the first with the very same grams.
    """

    def __init__(self, sets: Sequence[Grams], threshold: float) -> None:
        self.same = _same(sets)
        self._sets, self._threshold = sets, threshold
        lengths = np.fromiter(map(len, sets), np.int64, len(sets))
        self._reach = lengths * ((1 - threshold) / (1 + threshold) + 1e-9)
        self._bitmaps = bitmaps(sets)
        # A bit stands for sixteen, and is unlike only where one of them is: no pair is missed.
        self._folded = np.bitwise_xor.reduce(self._bitmaps, axis=1)
        self._often = _often(sets, int(lengths.sum()))
        self._holders: dict[int, array[int]] = {}
        self._rarest: tuple[int, list[int]] = (-1, [])

    def add(self, number: int) -> None:
        """From now on the text may be found."""
        for rank in self._prefix(number):
            self._holders.setdefault(rank, array("i")).append(number)

    def first_alike(self, number: int) -> int | None:
        """The first of the added texts that reaches the threshold."""
        found = map(int, self.candidates(number))
        return next((other for other in found if self.compare(number, other)), None)

    def candidates(self, number: int) -> Numbers:
        """The added texts that may reach the threshold, in order.

        Sets of a and b grams that reach the threshold t differ in at most (a + b)(1 - t)/(1 + t).
        """
        lists = [held for rank in self._prefix(number) if (held := self._holders.get(rank))]
        if not lists:
            return _NONE
        found: Numbers = np.frombuffer(b"".join(lists), np.int32)
        differ = np.bitwise_count(self._folded[found] ^ self._folded[number])
        found = found[differ <= self._reach[found] + self._reach[number]]
        if len(found):
            found = np.unique(found)
            differ = np.bitwise_count(self._bitmaps[found] ^ self._bitmaps[number]).sum(axis=1)
            found = found[differ <= self._reach[found] + self._reach[number]]
        return found

    def compare(self, number: int, other: int) -> bool:
        """Whether two texts reach the threshold."""
        one, two = self._sets[number], self._sets[other]
        small, large = sorted((len(one), len(two)))
        if small < self._threshold * large:
            return False
        both = np.concatenate((one, two))
        both.sort()
        shared = int(np.count_nonzero(both[1:] == both[:-1]))
        return shared >= self._threshold * (len(one) + len(two) - shared)

    def groups(self) -> list[int]:
        """For each text the first of its group; adds all."""
        first = np.arange(len(self.same))
        for number, same in enumerate(self.same):
            if same != number:
                first[number] = first[same]
                continue
            found = self.candidates(number)
            while len(found):
                other, found = int(found[0]), found[1:]
                if self.compare(number, other):
                    one, two = sorted((first[number], first[other]))
                    first[first == two] = one
                    found = found[first[found] != one]
            self.add(number)
        return [int(number) for number in first]

    def _prefix(self, number: int) -> list[int]:
        """Ranks of the rarest grams: a set as similar as the threshold holds one of its rarest.

        Those that no other text holds are left out: nobody will ask for them. Any order of grams
        will do, if it is the same for all; where two have one rank, both are in.
        """
        if self._rarest[0] != number:  # asked for when it is sought, and when it is added
            found = self._sets[number]
            often = self._often[numbers_below(len(self._often), found)].astype(np.uint64)
            ranks = np.minimum(often, _MAX_COUNT) << _COUNT_SHIFT | found >> _HASH_SHIFT
            ranks.sort()
            length = len(found) - math.ceil(self._threshold * len(found) - 1e-9) + 1
            last = ranks[length - 1]
            begin, end = ranks.searchsorted(_HELD_TWICE), ranks.searchsorted(last, "right")
            self._rarest = number, ranks[begin:end].tolist()
        return self._rarest[1]


def _same(sets: Sequence[Grams]) -> list[int]:
    """For each set the number of the first that equals it."""
    first: dict[tuple[int, int], int] = {}
    keys = ((len(found), hash(found.tobytes())) for found in sets)
    return [first.setdefault(key, number) for number, key in enumerate(keys)]


def _often(sets: Sequence[Grams], total: int) -> NDArray[np.uint32]:
    """How many texts hold a gram, by the last bits of it; never too few, seldom too many."""
    log = min(MAX_BUCKETS_LOG, max(8, (2 * total).bit_length()))
    counts = np.zeros(1 << log, np.uint32)
    for found in sets:
        np.add.at(counts, numbers_below(len(counts), found), np.uint32(1))
    return counts
