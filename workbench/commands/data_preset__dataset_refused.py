"""Findings of a checker run over the training data: answers that would teach what it refuses."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import tee

from workbench.checkers.builtin import expected_for
from workbench.checkers.answer_text__checkers_extract import extract
from workbench.checkers.verdict_cache import Remembered
from workbench.checkers.execution import Item
from workbench.dataset.rows import Fault, Row


@dataclass(frozen=True)
class Judge:
    """A checker, and what of an answer it gets to see (`checkers.extract`)."""

    checker: Remembered
    extract: str = "code-block-or-all"

    def findings(self, rows: Iterable[Row]) -> Iterator[Fault | None]:
        """For each row with an answer: a fault where that is refused, None where it passes.

        Several answers are judged at a time. Raises UserError when the checker is not installed.
        """
        judged, given = tee(row for row in rows if row.expected)
        verdicts = self.checker.judge(map(self._item, given), workers=os.cpu_count() or 1)
        for row, verdict in zip(judged, verdicts, strict=True):
            says = verdict.reason or "no reason given"
            if not self._item(row).answer.strip():  # an empty program compiles, and teaches nothing
                yield _refused(row, "the response contains nothing to check")
            else:
                yield (None if verdict.passed is not False else _refused(row, f"checker: {says}"))

    def _item(self, row: Row) -> Item:
        asked = row.prompt_messages()[-1:]
        prompt = asked[0].content if asked else ""
        expected = expected_for(self.checker.command, row.expected, self.extract)
        return Item(extract(row.expected, self.extract), prompt, expected, row.must_contain)


def _refused(row: Row, message: str) -> Fault:
    return Fault(row.place, "refused", message, "fix the response or the checker", fatal=False)
