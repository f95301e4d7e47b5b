"""Append-only event log of one run: `events.jsonl`, one strict JSON object a line.

Writer: the worker, alone, holding the run's lock. Readers: any number, at any time.
A line counts once its newline is there. Order is `seq` (1, 2, 3 ... without a gap), never the
clock. A torn last line, left by a kill or a full disk, is ended by a newline before the next
append, so that it can swallow nothing; readers count such lines and pass over them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from threading import Lock

from workbench.core import files
from workbench.run.event_lines import Record, line_kind, line_seq, parse_line, to_line, utc_now
from workbench.run.events import Event

READ_BYTES = 1 << 22
FREQUENT_KINDS = frozenset({b"step", b"answered", b"sampled", b"load", b"progress"})


class EventLog:
    """The writer. Open one only while holding the run's lock."""

    def __init__(self, path: Path, now: Callable[[], str] = utc_now) -> None:
        self._now = now
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._seq = 0
        self._torn = False
        self._one_at_a_time = Lock()
        self._read_tail()

    def append(self, event: Event, stage: str = "") -> Record:
        """Write one event with one `write`; returns the record. Raises OSError on a full disk.

        A failed write may leave a torn line; the next append ends it first. Threads may append.
        """
        with self._one_at_a_time:
            if self._torn:
                files.write_all(self._fd, b"\n")
                self._read_tail()
            record = Record(self._seq + 1, self._now(), stage, event)
            self._torn = True
            files.write_all(self._fd, to_line(record))
            self._torn = False
            self._seq = record.seq
            return record

    def sync(self) -> None:
        """Force the log to disk: for the events that end a stage or the run."""
        os.fsync(self._fd)

    def close(self) -> None:
        os.close(self._fd)

    def _read_tail(self) -> None:
        """Set the last `seq` of the log's whole lines, and whether an unended line follows."""
        size = os.fstat(self._fd).st_size
        tail = os.pread(self._fd, READ_BYTES, max(0, size - READ_BYTES))
        self._torn = bool(tail) and not tail.endswith(b"\n")
        self._seq = _last_seq(tail)
        if self._seq == 0 and size > READ_BYTES:  # megabytes of damage: look at all of it
            self._seq = _last_seq(self._path.read_bytes())


class EventReader:
    """Follows a log: each `poll` returns the records that became complete since the last one.

    Notices a log that was replaced or cut short, and starts again (`restarted` is then True until
    the next poll). `damaged` counts lines that are no event of ours. `trouble` says in words why
    the log cannot be read at the moment, and is "" when it can. `behind` says that a poll with a
    limit has left a part of the log for the next one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = 0
        self.restarted = False
        self.trouble = ""
        self.behind = False
        self._offset = 0
        self._inode = 0
        self._rest = b""

    def poll(self, limit_bytes: int = -1) -> list[Record]:
        """The records that are new, in order, of at most `limit_bytes`. An absent log is empty."""
        return [found for line in self.poll_lines(limit_bytes) if (found := self.record(line))]

    def poll_lines(self, limit_bytes: int = -1) -> list[bytes]:
        """As `poll`, but the lines as they stand in the log; `record` makes of one what it is."""
        self.restarted, self.trouble, self.behind = False, "", False
        try:
            with open(self.path, "rb") as file:
                self._notice_replacement(os.fstat(file.fileno()))
                file.seek(self._offset)
                data = file.read(limit_bytes)
        except FileNotFoundError:
            return []
        except OSError as error:
            self.trouble = error.strerror or str(error)
            return []
        self._offset += len(data)
        self.behind = len(data) == limit_bytes
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        return [line for line in lines if line]

    def record(self, line: bytes) -> Record | None:
        """The record of a line; None for what is no event (counted) or of an unknown kind."""
        try:
            return parse_line(line)
        except ValueError:
            self.damaged += 1
            return None

    def _notice_replacement(self, status: os.stat_result) -> None:
        if self._inode and (status.st_ino != self._inode or status.st_size < self._offset):
            self._offset, self._rest, self.damaged, self.restarted = 0, b"", 0, True
        self._inode = status.st_ino


def read(path: Path) -> list[Record]:
    """All complete records of a log."""
    return EventReader(path).poll()


class LogSkimmer:
    """Enough of a log to tell how the run stands: of steps, answers and progress only the last.

    Many times faster than reading a long run's records: the lines passed over are not parsed.
    """

    def __init__(self) -> None:
        self._kept: list[bytes] = []
        self._last: dict[bytes, bytes] = {}

    def take(self, lines: Iterable[bytes]) -> None:
        """The next lines of the log."""
        for line in lines:
            kind = line_kind(line)
            if kind in FREQUENT_KINDS:
                self._last[kind] = line
            else:
                self._kept.append(line)

    def records(self) -> list[Record]:
        """What was kept, in the order of the log."""
        found: list[Record] = []
        for line in (*self._kept, *self._last.values()):
            with suppress(ValueError):
                if record := parse_line(line):
                    found.append(record)
        return sorted(found, key=lambda record: record.seq)


def skim(path: Path) -> list[Record]:
    """As `LogSkimmer`, the whole log at once. An absent one is empty."""
    skimmer = LogSkimmer()
    try:
        with open(path, "rb") as file:
            skimmer.take(line for line in file if line.endswith(b"\n"))
    except OSError:
        return []
    return skimmer.records()


def _last_seq(data: bytes) -> int:
    """The `seq` of the last whole line that is an event, 0 when there is none."""
    for line in reversed(data.split(b"\n")[:-1]):
        with suppress(ValueError):
            return line_seq(line)
    return 0
