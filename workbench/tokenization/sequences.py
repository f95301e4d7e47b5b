"""What rows become: sequences of token ids, each id marked as trained or not.

Ids take four bytes each, as they are stored in the prepared file: an `array` of C ints takes a
seventh of a list's memory, and is joined, sliced and written as bytes.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Collection
from dataclasses import dataclass

from workbench.dataset.rows import Fault, Place, Row

TYPE = "i"
_AS_TEXT = "utf-32-le" if sys.byteorder == "little" else "utf-32-be"


@dataclass(frozen=True, slots=True)
class TrainingSequence:
    """One training sequence. `trained[k]` is 1 where `ids[k]` is to be trained, else 0."""

    ids: array[int]
    trained: bytes
    place: Place
    cut: bool = False  # the sequence was longer than allowed, its end is missing
    lost_stop: bool = False  # the cut took the stop token of the last turn
    retokenized: bool = False  # a token spans the seam between a prompt and its answer
    special_in_text: bool = False  # a message held the name of a control token
    length: int = 0  # tokens before cutting

    @property
    def n_trained(self) -> int:
        """Tokens that training predicts: the first of a sequence never is."""
        return self.trained.count(1, 1)


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """What became of a row: sequences, or faults in their place. `by_turn`: one for each turn."""

    row: Row
    parts: list[TrainingSequence | Fault]
    by_turn: bool = False


def positions_of(wanted: Collection[int], ids: array[int]) -> list[int]:
    """Where the wanted ids stand, in rising order.

    Ids that are code points (no vocabulary is larger) are sought as a text's characters are, which
    is twenty times as quick as to look at each number.
    """
    try:
        text = ids.tobytes().decode(_AS_TEXT, "surrogatepass")
        characters = list(map(chr, wanted))
    except ValueError:
        return [at for at, number in enumerate(ids) if number in wanted]
    found = []
    for one in characters:
        at = text.find(one)
        while at >= 0:
            found.append(at)
            at = text.find(one, at + 1)
    return sorted(found)
