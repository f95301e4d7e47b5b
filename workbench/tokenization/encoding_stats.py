"""What tokenizing did to the rows, in figures and places.

Nothing is cut, dropped or masked without a line here: how many rows, the first five of them, and
the sequence lengths that would have saved them all, or nearly all. Rows are counted, not the
sequences that some are split into.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from workbench.dataset.rows import Place
from workbench.tokenization.sequences import TrainingSequence

PLACES = 5
NEARLY_ALL = 0.99


@dataclass
class RowCount:
    """A count of rows with the first five places; a row that comes again at once counts once."""

    count: int = 0
    places: list[Place] = field(default_factory=list)
    _last: Place | None = None

    def add(self, place: Place) -> None:
        if place == self._last:
            return
        self._last = place
        self.count += 1
        if len(self.places) < PLACES:
            self.places.append(place)

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.places))
        return f"{self.count} ({shown}{', …' if self.count > len(self.places) else ''})"

    def to_json(self) -> dict[str, Any]:
        return {"count": self.count, "places": [str(place) for place in self.places]}


# Each tally's meaning, as the person reads it.
MEANINGS = {
    "cut": "longer than sequence_length",
    "lost_stop": "of these, lose the stop token if truncated",
    "lost_all": "of these, lose all trained tokens if truncated",
    "dropped": "dropped",
    "untrained": "without trained tokens",
    "retokenized": "with a token spanning prompt and response, masked by character offsets",
    "special_in_text": "with a special token's name in the text, encoded as plain text",
    "by_turn": "split into one sequence per turn, because the template rewrites past turns",
    "refused": "rejected by the chat template",
}

_FIGURES = (
    "sequence_length",
    "rows",
    "sequences",
    "tokens",
    "trained_tokens",
    "longest",
    "saving_length",
    "nearly_saving_length",
)


@dataclass
class EncodingStats:
    """Counts of one tokenizing. Lengths are in tokens."""

    sequence_length: int = 0
    rows: int = 0
    sequences: int = 0
    tokens: int = 0
    trained_tokens: int = 0
    cut: RowCount = field(default_factory=RowCount)
    lost_stop: RowCount = field(default_factory=RowCount)
    lost_all: RowCount = field(default_factory=RowCount)
    dropped: RowCount = field(default_factory=RowCount)
    untrained: RowCount = field(default_factory=RowCount)
    retokenized: RowCount = field(default_factory=RowCount)
    special_in_text: RowCount = field(default_factory=RowCount)
    by_turn: RowCount = field(default_factory=RowCount)
    refused: RowCount = field(default_factory=RowCount)
    # Of all sequences before cutting; documents come in blocks that are never cut.
    lengths: array[int] = field(default_factory=lambda: array("L"))

    def count(self, entry: TrainingSequence, n_trained: int) -> None:
        """Take in what was found of a sequence, whether or not it is kept."""
        self.lengths.append(entry.length)
        if entry.cut:
            self.cut.add(entry.place)
            if entry.lost_stop:
                self.lost_stop.add(entry.place)
            if not n_trained:
                self.lost_all.add(entry.place)
        if entry.retokenized:
            self.retokenized.add(entry.place)
        if entry.special_in_text:
            self.special_in_text.add(entry.place)

    def keep(self, entry: TrainingSequence, n_trained: int) -> None:
        """Take in a sequence that is trained on."""
        self.sequences += 1
        self.tokens += len(entry.ids)
        self.trained_tokens += n_trained

    @property
    def longest(self) -> int:
        return max(self.lengths, default=0)

    @property
    def saving_length(self) -> int:
        """The sequence length with which nothing would be cut; 0 when nothing is."""
        return self.longest if self.cut.count else 0

    @property
    def nearly_saving_length(self) -> int:
        """The sequence length that would cut no more than one in a hundred; 0 if that is so now."""
        within = ceil(NEARLY_ALL * len(self.lengths))
        length = sorted(self.lengths)[within - 1] if self.lengths else 0
        return length if self.cut.count and length > self.sequence_length else 0

    def tallies(self) -> Iterator[tuple[str, RowCount]]:
        """(name, tally) of all that is not zero."""
        for name in MEANINGS:
            tally = getattr(self, name)
            if tally.count:
                yield name, tally

    def lines(self) -> list[str]:
        """The ledger for a person, a line an entry."""
        head = (
            f"{self.rows} rows, {self.sequences} sequences, {self.tokens} tokens "
            f"({self.trained_tokens} trained), longest row {self.longest}"
        )
        lines = [head, *(f"{tally}: {MEANINGS[name]}" for name, tally in self.tallies())]
        if self.saving_length:
            lines.append(f"sequence_length = {self.saving_length} would truncate none")
        if 0 < self.nearly_saving_length < self.saving_length:
            lines.append(f"sequence_length = {self.nearly_saving_length} would truncate 1 in 100")
        return lines

    def to_json(self) -> dict[str, Any]:
        """All figures, zeros included, and the places."""
        value: dict[str, Any] = {name: getattr(self, name) for name in _FIGURES}
        return value | {name: getattr(self, name).to_json() for name in MEANINGS}
