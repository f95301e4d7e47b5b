"""What near duplicates are compared by: a text's different word 5-grams, as sorted 64-bit hashes.

Of texts with fewer words all of them are one gram. Case and white space do not count. The hashes
are Python's own of the words, so they hold for this process alone.
"""

from __future__ import annotations

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
