"""The helper process that reads all of a source once: what is wrong with it, counts, the spool.

It says, in JSON lines: `found`, findings with the line `at` which their record lies (of the file,
or of the spool); `counts` of all findings by code; `categories`; and how far it is: `path`, `line`,
`rows`, whether all is `read`, whether the spool is `full`.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from workbench.core.subprocesses import Message, MessageSender, run_task
from workbench.dataset.browse.record_library import SourceRequest
from workbench.dataset.browse.spool import Writer
from workbench.dataset.checks.findings import MAX_KEPT
from workbench.dataset.checks.linter import Linter
from workbench.dataset.rows import Fault, Place, Row


class _Scan:
    def __init__(self, sender: MessageSender, writer: Writer | None) -> None:
        self._sender, self._writer = sender, writer
        self._found: list[dict[str, Any]] = []
        self._counts: Counter[str] = Counter()
        self._categories: Counter[str] = Counter()
        self._rows = self._entries = 0
        self._spooled: dict[Place, int] = {}  # the line of the spool where an entry stands

    def run(self, source: SourceRequest) -> None:
        linter = Linter()
        place = Place(source.path, 0)
        for entry in source.entries():
            place = entry.place
            self._take(entry)
            self._tell(linter.look(entry) if isinstance(entry, Row) else [entry])
            if self._sender.due():
                self._say(place, read=False)
        self._say(place, read=True)
        self._tell(linter.together())
        self._say(place, read=True)

    def _take(self, entry: Row | Fault) -> None:
        if isinstance(entry, Row):
            self._rows += 1
            self._categories[entry.category] += 1
        elif not entry.fatal:
            return
        if self._writer:
            self._writer.add(entry)
            self._entries += 1
            self._spooled.setdefault(entry.place, self._entries)

    def _tell(self, faults: Iterable[Fault]) -> None:
        for fault in faults:
            self._counts[fault.code] += 1
            if self._counts[fault.code] <= MAX_KEPT:
                line = self._spooled.get(fault.place, 0) if self._writer else fault.place.line
                self._found.append(asdict(fault) | {"at": line})

    def _say(self, place: Place, read: bool) -> None:
        if self._writer:
            self._writer.flush()
        self._sender.send(
            found=self._found,
            counts=self._counts,
            categories=self._categories,
            rows=self._rows,
            path=place.path,
            line=place.line,
            read=read,
            full=bool(self._writer and self._writer.full),
        )
        self._found = []


def scan(request: Message, sender: MessageSender) -> None:
    """Read the source of the request; `spool` is the file descriptor to write rows to, or None."""
    fd = request["spool"]
    _Scan(sender, None if fd is None else Writer(fd)).run(
        SourceRequest.from_json(request["source"])
    )


if __name__ == "__main__":
    sys.exit(run_task(scan))
