"""Rows read one at a time in a thread, and the last ones kept: nobody waits long for a disk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor

from workbench.dataset.browse.records import Entry
from workbench.dataset.rows import Row

PATIENCE_S = 0.02
MAX_CHARS = 16 << 20
MAX_ENTRIES = 2000


class Fetching:
    """`read` makes an entry of a number, in the thread; `news` is called when a late one came."""

    def __init__(self, read: Callable[[int], Entry], news: Callable[[], None]) -> None:
        self._read, self._news = read, news
        self._kept: dict[int, Entry] = {}  # the oldest first
        self._chars = 0
        self._pending: dict[int, Future[Entry]] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, "rows")

    def entry(self, number: int) -> Entry | None:
        """The entry; None where it, or one before it, takes longer than `PATIENCE_S`."""
        with self._lock:
            if (known := self._kept.get(number)) is not None:
                return known
            patient = not self._pending
            future = self._pending.get(number)
            if future is None:
                try:
                    future = self._pool.submit(self._fetch, number)
                except RuntimeError:  # closed
                    return None
                self._pending[number] = future
        try:
            return future.result(PATIENCE_S if patient else 0)
        except (TimeoutError, CancelledError):
            return None

    def forget(self) -> None:
        """Read everything anew."""
        with self._lock:
            self._kept.clear()
            self._chars = 0

    def close(self) -> None:
        """Read nothing more; returns once nothing is being read."""
        self._pool.shutdown(cancel_futures=True)

    def _fetch(self, number: int) -> Entry:
        entry = self._read(number)
        with self._lock:
            del self._pending[number]
            self._kept[number] = entry
            self._chars += _chars(entry)
            while len(self._kept) > (MAX_ENTRIES if self._chars <= MAX_CHARS else 1):
                self._chars -= _chars(self._kept.pop(next(iter(self._kept))))
        self._news()
        return entry


def _chars(entry: Entry) -> int:
    if not isinstance(entry, Row):
        return len(entry.message)
    return len(entry.text) + sum(len(message.said) for message in entry.messages)
