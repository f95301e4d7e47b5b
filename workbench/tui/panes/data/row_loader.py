"""Rows read one at a time in a thread, and the last ones kept: nobody waits long for a disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress

from workbench.dataset.browse.records import Entry
from workbench.dataset.rows import Row

PATIENCE_S = 0.02
PAGE = 32
MAX_CHARS = 16 << 20
MAX_ENTRIES = 2000


class RowLoader:
    """`read` gives the entry at a number and as many more of those behind it as are read along.

    It is called in the thread, and `news` after it; then `late`, where an entry was asked for in
    vain meanwhile.
    """

    def __init__(
        self,
        read: Callable[[int, int], Sequence[Entry]],
        news: Callable[[], None],
        late: Callable[[], None] = lambda: None,
    ) -> None:
        self._read, self._news, self._late = read, news, late
        self._in_vain = False
        self._kept: dict[int, Entry] = {}  # the oldest first
        self._chars = 0
        self._pending: dict[int, Future[None]] = {}
        self._wished: tuple[int, int] | None = None  # the rows that `ahead` was last asked for
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, "rows")

    def entry(self, number: int, in_order: bool = False) -> Entry | None:
        """The entry; None where it, or one before it, takes longer than `PATIENCE_S`.

        `in_order` says that its neighbours will be asked for too.
        """
        start = number - number % PAGE if in_order else number
        with self._lock:
            if (known := self._kept.get(number)) is not None:
                return known
            patient = not self._pending
            future = self._pending.get(start) or self._submit(start, PAGE if in_order else 1)
        if future is not None:
            with suppress(TimeoutError, CancelledError):
                future.result(PATIENCE_S if patient else 0)
        found = self._kept.get(number)
        self._in_vain = self._in_vain or found is None
        return found

    def ahead(self, first: int, last: int) -> None:
        """Read these, which will be asked for soon, once nothing else is being read.

        Of several wishes that come meanwhile, as for each digit of a number, the last one counts.
        """
        with self._lock:
            self._wished = (first, last)
            self._grant()

    def forget(self) -> None:
        """Read everything anew."""
        with self._lock:
            self._kept.clear()
            self._chars = 0

    def close(self) -> None:
        """Read nothing more; returns once nothing is being read."""
        self._pool.shutdown(cancel_futures=True)

    def _submit(self, start: int, count: int) -> Future[None] | None:
        try:
            future = self._pool.submit(self._fetch, start, count)
        except RuntimeError:  # closed
            return None
        self._pending[start] = future
        return future

    def _grant(self) -> None:
        """Begin with what is wished for, unless something is being read."""
        if self._pending or self._wished is None:
            return
        (first, last), self._wished = self._wished, None
        for start in range(first - first % PAGE, last + 1, PAGE):
            if start not in self._kept:
                self._submit(start, PAGE)

    def _fetch(self, start: int, count: int) -> None:
        entries = self._read(start, count)
        with self._lock:
            del self._pending[start]
            self._grant()
            for number, entry in enumerate(entries, start):
                self._chars += _chars(entry) - _chars(self._kept.pop(number, None))
                self._kept[number] = entry
            while len(self._kept) > (MAX_ENTRIES if self._chars <= MAX_CHARS else 1):
                self._chars -= _chars(self._kept.pop(next(iter(self._kept))))
        self._news()
        if self._in_vain:
            self._in_vain = False
            self._late()


def _chars(entry: Entry | None) -> int:
    if not isinstance(entry, Row):
        return len(entry.message) if entry else 0
    return len(entry.text) + sum(len(message.said) for message in entry.messages)
