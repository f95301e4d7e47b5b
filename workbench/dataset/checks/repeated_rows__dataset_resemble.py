"""Findings of near duplicates: rows that say nearly what another says, or what is held out.

Needs the texts of all rows once more, and hashes of their words in memory: a second look, for sets
of a size where that is no burden.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from workbench.dataset.duplicates__dataset_near import near_duplicates
from workbench.dataset.duplicates import dedupe, opening_key, row_text
from workbench.dataset.rows import Fault, Place, Row


def near_findings(rows: Sequence[Row], held_out: Sequence[Row] = ()) -> Iterator[Fault]:
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
    exact = {opening_key(row) for row in held_out}
    asking = [row for row in rows if opening_key(row) not in exact]
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
