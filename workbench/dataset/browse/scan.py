"""The helper process that reads all of a source once: what is wrong with it, counts, the spool.

It says, in JSON lines: `faults` (each with the line to find it at), `notes` the same for what is
only suspicious, `counts` by code, `categories`, and how far it is (`path`, `line`, `rows`). Beyond
`MAX_TOLD` findings they are only counted.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import asdict
from typing import Any

from workbench.dataset.browse import child
from workbench.dataset.browse.child import Said, Speaker
from workbench.dataset.browse.request import Source
from workbench.dataset.browse.spool import Writer
from workbench.dataset.lint import Linter
from workbench.dataset.rows import Fault, Place, Row

MAX_TOLD = 10_000


class _Scan:
    def __init__(self, speaker: Speaker, writer: Writer | None) -> None:
        self._speaker, self._writer = speaker, writer
        self._found: list[dict[str, Any]] = []
        self._counts: Counter[str] = Counter()
        self._categories: Counter[str] = Counter()
        self._rows = self._spooled = 0
        self._lines: dict[Place, int] = {}  # where in the spool a row stands

    def run(self, source: Source) -> None:
        linter = Linter()
        place = Place(source.path, 0)
        for entry in source.entries():
            place = entry.place
            if isinstance(entry, Row):
                self._spool(entry)
                self._rows += 1
                self._categories[entry.category] += 1
                for fault in linter.look(entry):
                    self._tell(fault)
            else:
                if entry.fatal:
                    self._spool(entry)
                self._tell(entry)
            if self._speaker.due():
                self._say(place)
        self._say(place, read=True)
        for fault in linter.together():
            self._tell(fault)
        self._say(place)

    def _spool(self, entry: Row | Fault) -> None:
        if self._writer:
            self._writer.add(entry)
            self._spooled += 1
            self._lines[entry.place] = self._spooled

    def _tell(self, fault: Fault) -> None:
        self._counts[fault.code] += 1
        if self._counts.total() <= MAX_TOLD:
            line = self._lines.get(fault.place, 0) if self._writer else fault.place.line
            self._found.append(asdict(fault) | {"at": line})

    def _say(self, place: Place, read: bool = False) -> None:
        if self._writer:
            self._writer.flush()
        full = bool(self._writer and self._writer.full)
        self._speaker.say(
            found=self._found,
            counts=self._counts,
            categories=self._categories,
            rows=self._rows,
            path=place.path,
            line=place.line,
            read=read,
            full=full,
        )
        self._found = []


def scan(request: Said, speaker: Speaker) -> None:
    """Read the source of the request; `spool` is the file descriptor to write rows to, or None."""
    os.nice(5)
    fd = request["spool"]
    _Scan(speaker, None if fd is None else Writer(fd)).run(Source(**request["source"]))


if __name__ == "__main__":
    sys.exit(child.main(scan))
