"""The truncation ledger: what tokenizing did to the rows, with figures and places.

Nothing is cut, dropped or masked without a line here: how many rows, the first five of them, and
the sequence length that would have saved them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from workbench.dataset.rows import Place

PLACES = 5


@dataclass
class Tally:
    """A count with the first five places."""

    count: int = 0
    places: list[Place] = field(default_factory=list)

    def add(self, place: Place) -> None:
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
    "lost_stop": "of these, would lose the stop token if cut",
    "lost_all": "of these, would lose every trained token if cut",
    "dropped": "dropped",
    "untrained": "without any trained token",
    "retokenized": "with a token across the seam of prompt and answer, masked by characters",
    "special_in_text": "with a control token's name in the text, encoded as text",
    "by_turn": "split into one sequence a turn, because the template rewrites past turns",
    "refused": "the template refuses",
}


@dataclass
class Ledger:
    """Counts of one tokenizing. Lengths are in tokens."""

    sequence_length: int = 0
    rows: int = 0
    sequences: int = 0
    tokens: int = 0
    trained_tokens: int = 0
    longest: int = 0  # of all conversations, before cutting; documents are split, never cut
    cut: Tally = field(default_factory=Tally)
    lost_stop: Tally = field(default_factory=Tally)
    lost_all: Tally = field(default_factory=Tally)
    dropped: Tally = field(default_factory=Tally)
    untrained: Tally = field(default_factory=Tally)
    retokenized: Tally = field(default_factory=Tally)
    special_in_text: Tally = field(default_factory=Tally)
    by_turn: Tally = field(default_factory=Tally)
    refused: Tally = field(default_factory=Tally)

    @property
    def saving_length(self) -> int:
        """The sequence length with which nothing would be cut; 0 when nothing is."""
        return self.longest if self.cut.count else 0

    def tallies(self) -> Iterator[tuple[str, Tally]]:
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
            lines.append(f"sequence_length = {self.saving_length} would cut none")
        return lines

    def to_json(self) -> dict[str, Any]:
        """All figures, zeros included, and the places."""
        figures = ("sequence_length", "rows", "sequences", "tokens", "trained_tokens", "longest")
        value: dict[str, Any] = {name: getattr(self, name) for name in figures}
        value["saving_length"] = self.saving_length
        return value | {name: getattr(self, name).to_json() for name in MEANINGS}
