"""What has changed since an earlier evaluation: of the same run, or of the run before it.

Told is the first earlier evaluation that shares a prompt and had another answer: one that cannot be
read, asked something else or heard the very same (the same model again) is passed over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.core.errors import UserError
from workbench.reports.evaluation_changes import Against, Change, against, counted
from workbench.reports.cases import Case
from workbench.reports.evaluation_report import Report


@dataclass(frozen=True)
class Since:
    """How a model's cases stand against those of `model` in the evaluation called `name`.

    The cases are those that `against` counts.
    """

    name: str
    date: str
    model: str
    against: Against
    newly_failing: tuple[Case, ...]
    newly_passing: tuple[Case, ...]

    def as_json(self) -> dict[str, Any]:
        """Names, counts and the test, as plain values."""
        counts = {change.replace(" ", "_"): n for change, n in self.against.counts.items()}
        told = {"name": self.name, "date": self.date, "model": self.model}
        told["sentence"] = self.against.sentence
        return told | counts | {"gone": self.against.gone, "p_value": self.against.p_value}


@dataclass(frozen=True)
class Earlier:
    """An evaluation of before, and what to call it; its cases are read when they are needed."""

    name: str
    report: Report


def since(
    subject: str, cases: Sequence[Case], apart: Collection[str], earlier: Iterable[Earlier]
) -> Since | None:
    """The change against the first of `earlier` that has something to tell; None when none has."""
    for before in earlier:
        try:
            found = compared(subject, cases, apart, before)
        except UserError:
            continue
        twins = found.against.before
        if any(one.answer != twins[one.key].answer for one in cases if one.key in twins):
            return found
    return None


def compared(
    subject: str, cases: Sequence[Case], apart: Collection[str], earlier: Earlier
) -> Since:
    """The change against the model of the same name, or the one that was judged there.

    Raises UserError when its cases cannot be read.
    """
    report = earlier.report
    name = subject if subject in report.models else report.subject
    found = against(cases, report.models[name].read_cases(), apart)

    def those(change: Change) -> tuple[Case, ...]:
        changed = (case for case in cases if found.changes[case.key] == change)
        return tuple(case for case in changed if counted(case, apart))

    failing, passing = those("newly failing"), those("newly passing")
    return Since(earlier.name, report.date, name, found, failing, passing)
