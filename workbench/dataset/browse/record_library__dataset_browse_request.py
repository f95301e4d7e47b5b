"""What a helper process is asked to read: the same source as the screen's, as plain values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from workbench.dataset.reader_options import PLAIN, Options
from workbench.dataset.sources import Plan, iterate, plan_source
from workbench.dataset.rows import Fault, Row


@dataclass(frozen=True)
class Source:
    """A file, folder or glob; `answers` is False where rows may end without one."""

    path: str
    format: str = "auto"
    answers: bool = True
    options: Options = PLAIN

    def plan(self) -> Plan:
        """The files with their formats. Raises UserError for a format that does not exist."""
        return plan_source(self.path, self.format, self.options)

    def entries(self) -> Iterator[Row | Fault]:
        """Everything that is read, streamed in order."""
        plan = self.plan()
        yield from plan.faults
        yield from iterate(plan, answers=self.answers)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Source:
        """The source that `to_json` gave."""
        options = dict(value["options"])
        options["suffixes"] = tuple(options["suffixes"])
        return cls(value["path"], value["format"], value["answers"], Options(**options))
