"""The chat's own thread: jobs one after the other, so that a model is used by one thread only."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

Job = Callable[[], None]


class ChatThread:
    """Begins with its first job. `faulty` is called, in the thread, with what a job raises."""

    def __init__(self, faulty: Callable[[Exception], None]) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._faulty = faulty
        self._thread: threading.Thread | None = None

    def do(self, job: Job) -> None:
        """Do it after what is to be done already."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="chat", daemon=True)
            self._thread.start()
        self._jobs.put(job)

    def end(self, limit_s: float) -> None:
        """No more jobs; wait for those there are, but not longer than so many seconds."""
        self._jobs.put(None)
        if self._thread is not None:
            self._thread.join(limit_s)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception as error:  # noqa: BLE001 - told to the person
                self._faulty(error)
