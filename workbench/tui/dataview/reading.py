"""A data set read in a thread of its own, so that its first rows are there at once.

The thread only ever adds: whoever looks takes the rows that are there. When all are read it looks
for duplicates and contradictions. `stop` ends it at the next row.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from pathlib import Path

from workbench.dataset.lint import lint
from workbench.dataset.read import Plan, iterate, plan_source
from workbench.dataset.rows import Fault, Place, Row
from workbench.errors import UserError

MAX_FILES_WATCHED = 200


class DataReading:
    """What `path` holds so far. `done` once all is read and looked through."""

    def __init__(self, path: Path, format: str = "auto", *, answers: bool = True) -> None:
        self.path, self.format = path, format
        self.rows: list[Row] = []
        self.faults: list[Fault] = []
        self.notes: list[Fault] = []
        self.marks: dict[Place, str] = {}
        self.categories: Counter[str] = Counter()
        self.formats: tuple[tuple[str, str], ...] = ()
        self.read = False
        self.done = False
        self.trouble = ""
        self._answers = answers
        self._stopped = threading.Event()
        self._stamps: dict[Path, tuple[int, int]] = {}
        self._thread = threading.Thread(target=self._run, name="data", daemon=True)

    def start(self) -> DataReading:
        """Begin to read."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Nobody looks any more."""
        self._stopped.set()

    def wait(self, limit_s: float) -> bool:
        """Whether it is through within so many seconds; for tests and figures."""
        self._thread.join(limit_s)
        return self.done

    @property
    def findings(self) -> list[Fault]:
        """What is wrong, then what is suspicious: duplicates and contradictions come last."""
        return [*self.faults, *self.notes]

    @property
    def kinds(self) -> str:
        """The format or formats, for a title."""
        return ", ".join(dict.fromkeys(format for format, _ in self.formats))

    def changed_on_disk(self) -> bool:
        """Whether a file has another size or time than when it was read."""
        return any(_stamp(path) != stamp for path, stamp in self._stamps.items())

    def _run(self) -> None:
        try:
            self._read_all(plan_source(self.path, self.format))
            self.read = True
            self._look_through()
        except UserError as error:
            self.trouble = str(error)
        except OSError as error:
            self.trouble = f"{self.path}: {error.strerror}"
        self.read = self.done = True

    def _read_all(self, plan: Plan) -> None:
        self.formats = tuple((format, why) for _, format, why in plan.files)
        self._stamps = {path: _stamp(path) for path, _, _ in plan.files[:MAX_FILES_WATCHED]}
        for fault in plan.faults:
            self._found(fault, self.faults)
        for entry in iterate(plan, answers=self._answers):
            if self._stopped.is_set():
                return
            if isinstance(entry, Row):
                self.categories[entry.category] += 1
                self.rows.append(entry)
            else:
                self._found(entry, self.faults)

    def _look_through(self) -> None:
        if self._stopped.is_set():
            return
        for fault in lint(self.rows):
            self._found(fault, self.notes)

    def _found(self, fault: Fault, among: list[Fault]) -> None:
        among.append(fault)
        mark = "✗" if fault.fatal else "=" if fault.code == "duplicate" else "!"
        if self.marks.get(fault.place) != "✗":
            self.marks[fault.place] = mark


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)
