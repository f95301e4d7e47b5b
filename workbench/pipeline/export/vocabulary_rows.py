"""How many rows of the data llama.cpp tokenizes differently, by kind of difference.

Every row is searched for what a kind consists of. Of the rows that hold something some are
compared, and of the others a few too: what a chat template itself brings in shows there, and a
difference that no kind explains. Shares are those of the compared rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from workbench.core.errors import UserError
from workbench.dataset.rows import Place, Row
from workbench.pipeline.export.differences import Difference
from workbench.pipeline.export.native_ids import Ids, Request
from workbench.pipeline.export.tokenizer_files import TokenizerFiles
from workbench.pipeline.export.vocabulary_check import Mismatch
from workbench.tokenization.chat_template import ChatTemplate

COMPARED_HOLDING = 1000  # rows that hold something that may be tokenized differently
COMPARED_OTHERS = 200
COMPARED_CHARACTERS = 20_000  # of one row
Item = TypeVar("Item")


@dataclass
class Kind:
    """A kind of difference in the data: rows that hold it, the first of them, rows that differ.

    `differing` is estimated where not all rows were compared.
    """

    difference: Difference
    holding: int = 0
    first: Place | None = None
    differing: float = 0.0

    def hold(self, place: Place) -> None:
        """Count a row that holds it."""
        self.first = self.first or place
        self.holding += 1

    def differ(self, place: Place, rows: float) -> None:
        """Count a row whose ids differ and that stands for so many."""
        self.first = place if not self.differing else self.first
        self.differing += rows


@dataclass(frozen=True)
class RowsReport:
    """`rows` were searched, `compared` of them tokenized by llama.cpp; `unexplained`: no kind."""

    rows: int
    compared: int
    kinds: tuple[Kind, ...]
    unexplained: tuple[tuple[Place, Mismatch], ...]

    @property
    def differing_share(self) -> float:
        """Share of rows whose ids differ, but for kinds of which any number is allowed."""
        counted = sum(one.differing for one in self.kinds if one.difference.allowed != "any")
        return min(1.0, counted / self.rows) if self.rows else 0.0


@dataclass
class _Stratum:
    """Rows of one sort, and those of them that are compared."""

    rows: list[Row] = field(default_factory=list)
    texts: list[tuple[Row, str]] = field(default_factory=list)

    @property
    def weight(self) -> float:
        """For how many rows a compared one stands."""
        return len(self.rows) / len(self.texts) if self.texts else 0.0


class RowsCheck:
    """Rows to compare: `requests` go to llama.cpp, `report` takes its ids."""

    def __init__(
        self,
        files: TokenizerFiles,
        kinds: Sequence[Difference],
        rows: Iterable[Row],
        template: ChatTemplate | None,
    ) -> None:
        self._files = files
        self._kinds = [Kind(one) for one in kinds]
        self._holding, self._others = _Stratum(), _Stratum()
        self._search(rows)
        for stratum, most in (
            (self._holding, COMPARED_HOLDING),
            (self._others, COMPARED_OTHERS),
        ):
            stratum.texts = list(_rendered(_spread(stratum.rows, most), template))

    def _search(self, rows: Iterable[Row]) -> None:
        for row in {id(row): row for row in rows}.values():
            said = row.said()
            holding = [one for one in self._kinds if any(map(one.difference.in_message, said))]
            for one in holding:
                one.hold(row.place)
            (self._holding if holding else self._others).rows.append(row)

    def requests(self) -> list[Request]:
        """The texts that llama.cpp is to tokenize, in the order of `report`'s ids."""
        return [Request(text) for _, text in (*self._holding.texts, *self._others.texts)]

    def report(self, got: Sequence[Ids]) -> RowsReport:
        """What came of it."""
        unexplained, at = list[tuple[Place, Mismatch]](), 0
        for stratum in (self._holding, self._others):
            for row, text in stratum.texts:
                ids, expected = got[at], self._files.ids(text)
                at += 1
                if ids != expected and not self._explain(row, text, stratum.weight):
                    unexplained.append((row.place, Mismatch(text, expected, ids)))
        rows = len(self._holding.rows) + len(self._others.rows)
        return RowsReport(rows, len(got), tuple(self._kinds), tuple(unexplained))

    def _explain(self, row: Row, text: str, weight: float) -> bool:
        """Whether one of the kinds is why the row's ids differ; then it is counted there."""
        for one in self._kinds:
            if not one.difference.ids_equal and one.difference.touches(text):
                one.differ(row.place, weight)
                return True
        return False


def _rendered(rows: Iterable[Row], template: ChatTemplate | None) -> Iterator[tuple[Row, str]]:
    """Each row as the text that training tokenizes; what the template refuses is left out."""
    for row in rows:
        try:
            if not row.messages:
                yield row, row.text[:COMPARED_CHARACTERS]
            elif template is not None:
                text = template.render(row.messages, tools=row.tools)
                yield row, text[:COMPARED_CHARACTERS]
        except UserError:  # said with its place when rows are tokenized
            continue


def _spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many of them, evenly spread."""
    if len(items) <= most:
        return list(items)
    return [items[i * len(items) // most] for i in range(most)]
