"""Rows that repeat, contradict or leak: exactly, by hashes; nearly, by shared words.

`DuplicateTracker` keeps 28 bytes per row and no text. Among a million rows, two different ones
share a 64-bit hash with a chance of one in thirty million. White space does not count. What
training drops is compared in full (`duplicates.dedupe`). Near duplicates need the texts of all
rows again, and hashes of their words in memory: a second pass, for datasets of a moderate size.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from workbench.dataset.duplicates import (
    dedupe,
    first_turn_key,
    key_parts,
    near_duplicates,
    row_text,
)
from workbench.dataset.rows import Fault, Place, Row

NO_PROMPT = 0


class DuplicateTracker:
    """The rows that were seen, by hashes of all they say and of what they ask."""

    def __init__(self, held_out: Iterable[Row] = ()) -> None:
        self._files: list[str] = []
        self._path: str | None = None  # the last of them
        self._file = array("L")
        self._line = array("Q")
        self._said = array("q")
        self._asked = array("q")
        self._held_out: dict[int, Place] = {}
        for row in held_out:
            parts, _, opening = key_parts(row)
            self._held_out.setdefault(_hash(parts[:opening]), row.place)

    def add(self, row: Row, parts: Sequence[bytes], prompt: int, opening: int) -> Place | None:
        """Remember a row with its `key_parts`; where it is held out, should it begin like that."""
        place = row.place
        if place.path != self._path:
            self._path = place.path
            self._files.append(place.path)
        self._file.append(len(self._files) - 1)
        self._line.append(place.line)
        self._said.append(_hash(parts))
        self._asked.append(_hash(parts[:prompt]) if prompt < len(parts) else NO_PROMPT)
        return self._held_out.get(_hash(parts[:opening])) if self._held_out else None

    def findings(self) -> Iterator[Fault]:
        """A fault for each row that repeats an earlier one, then for each that contradicts one."""
        yield from self._duplicates()
        yield from self._contradictions()

    def _duplicates(self) -> Iterator[Fault]:
        for number, known in _again(self._said):
            what = f"duplicates {self.place(known)}"
            yield Fault(self.place(number), "duplicate", what, "keep one", fatal=False)

    def _contradictions(self) -> Iterator[Fault]:
        for number, known in _again(self._asked):
            if self._asked[number] != NO_PROMPT and self._said[known] != self._said[number]:
                what = f"same prompt as {self.place(known)} with a different response"
                hint = "keep the better one, or both if both are right"
                yield Fault(self.place(number), "contradiction", what, hint, fatal=False)

    def place(self, number: int) -> Place:
        return Place(self._files[self._file[number]], self._line[number])


def _again(hashes: array[int]) -> Iterator[tuple[int, int]]:
    """(number, number of the first with that hash) of each one that was there before.

    Sorted rather than put into a dictionary: a third of the memory, and few are in the end shared.
    """
    shared = {one for one, other in pairwise(sorted(hashes)) if one == other}
    first: dict[int, int] = {}
    for number, found in enumerate(hashes):
        if found in shared:
            known = first.setdefault(found, number)
            if known != number:
                yield number, known


def _hash(parts: Sequence[bytes]) -> int:
    return hash(parts[0] if len(parts) == 1 else b"\x1e".join(parts))


def near_duplicate_findings(rows: Sequence[Row], held_out: Sequence[Row] = ()) -> Iterator[Fault]:
    """A fault for each row that nearly repeats an earlier one, then for each near leak.

    Exact repeats and exact leaks are other findings, and not told again.
    """
    kept, _ = dedupe(rows, "exact")
    places = [row.place for row in kept]
    for later, earlier in sorted(near_duplicates(map(row_text, kept)).items()):
        what = f"nearly identical to {places[earlier]}"
        yield Fault(places[later], "near-duplicate", what, "keep one, or vary it", fatal=False)
    if held_out:
        yield from _near_leaks(kept, held_out)


def _near_leaks(rows: Sequence[Row], held_out: Sequence[Row]) -> Iterator[Fault]:
    exact = {first_turn_key(row) for row in held_out}
    asking = [row for row in rows if first_turn_key(row) not in exact]
    texts = [_opening_text(row) for row in (*held_out, *asking)]
    for number, original in sorted(near_duplicates(texts).items()):
        if original < len(held_out) <= number:
            row = asking[number - len(held_out)]
            what = (
                f"opening prompt nearly identical to {held_out[original].place}, which is held out"
            )
            yield _leak(row.place, what)


def _leak(place: Place, what: str) -> Fault:
    return Fault(place, "near-leak", what, "leaks inflate the evaluation", fatal=False)


def _opening_text(row: Row) -> str:
    return "\n".join(message.said for message in row.opening()) if row.messages else row.text
