"""Encoding on several cores: helpers, processes of their own, take batches beside this process.

A small data set waits for no helper: they are started once so much was encoded that they pay.
Invariant: what comes out is what `Encoder.encode` gives, in the order of the rows, however many
helpers there are and whatever becomes of them; when the crew is left, none of them is there.
"""

from __future__ import annotations

import pickle
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from subprocess import TimeoutExpired
from typing import IO, Any, NamedTuple, cast

from workbench.core.runtime import usable_cores
from workbench.core.subprocesses import start_pipes
from workbench.dataset.rows import Row
from workbench.tokenization.encoder import Encoder
from workbench.tokenization.encoding_process import (
    PIPE_BYTES,
    pack_rows,
    receive,
    send,
    unpack_tokens,
)
from workbench.tokenization.sequences import EncodedRow

HELPERS = 3  # at most; with more, this process cannot keep up with what they bring
BATCH_ROWS, BATCH_CHARS = 1024, 1 << 20
POOL_THRESHOLD_CHARS = 4 << 20  # most of a second of one core
ENDING_S = 1.0
AHEAD = 4  # batches that may be done before it is their turn, besides those of the helpers

Batch = list[Row]
Found = Future[list[EncodedRow]]


class Task(NamedTuple):
    """A batch and what becomes of it; without a helper it was encoded here."""

    batch: Batch
    found: Found
    helper: PoolWorker | None = None


class PoolWorker:
    """One process beside this one, and the thread that talks with it."""

    def __init__(self, encoder: Encoder) -> None:
        self.process = start_pipes(
            [sys.executable, "-m", "workbench.tokenization.encoding_process"],
            pipe_bytes=PIPE_BYTES,
            environment={"TOKENIZERS_PARALLELISM": "false"},
            own_session=True,
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="helper")
        self._begun = self._thread.submit(self._ask, encoder)
        self._asked: list[Found] = []
        self.lost = False

    @property
    def free(self) -> bool:
        """Whether it can take another batch: it is there, and has one at most before that."""
        self._asked = [one for one in self._asked if not one.done()]
        return not self.lost and self._begun.done() and len(self._asked) < 2

    def encode(self, batch: Batch) -> Found:
        """The batch, some time; OSError, EOFError or UnpicklingError where the process is gone."""
        found = self._thread.submit(lambda: unpack_tokens(self._ask(pack_rows(batch)), batch))
        self._asked.append(found)
        return found

    def status(self) -> str:
        """How it ended."""
        try:
            number = self.process.wait(ENDING_S)
        except TimeoutExpired:  # it is there, but cannot be understood any more
            self.process.kill()
            number = self.process.wait()
        return signal.Signals(-number).name if number < 0 else f"status {number}"

    def end(self) -> None:
        """Leave nothing of it."""
        self.process.kill()
        self._thread.shutdown(cancel_futures=True)
        with suppress(OSError), self.process:
            pass

    def _ask(self, what: Any) -> Any:
        send(what, cast(IO[bytes], self.process.stdin))
        return receive(cast(IO[bytes], self.process.stdout))


class EncodingPool:
    """This process and its helpers; a context manager.

    `tell` is told of a helper that died: its rows are encoded here. `helpers` is how many there may
    be, by default one for each further core that this process may use, up to three.
    """

    def __init__(
        self,
        encoder: Encoder,
        tell: Callable[[str], None],
        *,
        helpers: int | None = None,
        alone_chars: int = POOL_THRESHOLD_CHARS,
    ) -> None:
        self._encoder, self._tell = encoder, tell
        self._wanted = min(HELPERS, usable_cores() - 1) if helpers is None else helpers
        self._alone_chars = alone_chars
        self.helpers: list[PoolWorker] = []

    def __enter__(self) -> EncodingPool:
        return self

    def __exit__(self, *_: object) -> None:
        for helper in self.helpers:
            helper.end()
        self.helpers = []

    def encode(self, rows: Iterable[Row]) -> Iterator[EncodedRow]:
        """The sequences and faults of each row, in order."""
        if not self._wanted:
            yield from self._encoder.encode(rows)
            return
        batches = _batches(rows)
        for batch in batches:
            if self._alone_chars <= 0:
                yield from self._together(chain([batch], batches))
                return
            yield from self._encoder.encode(batch)
            self._alone_chars -= _chars(batch)

    def _together(self, batches: Iterator[Batch]) -> Iterator[EncodedRow]:
        """Helpers that are free take the next batches; this process does others meanwhile."""
        self._gather()
        waiting: deque[Task] = deque()
        most = AHEAD + 2 * self._wanted
        while True:
            waiting += self._handed_out(batches)
            turn_is_done = waiting and waiting[0].found.done()
            if turn_is_done or len(waiting) >= most or not self._do_one(batches, waiting):
                if not waiting:
                    return
                yield from self._result(waiting.popleft())

    def _gather(self) -> None:
        """Start the helpers that are not there yet, as many of them as the system allows."""
        try:
            while len(self.helpers) < self._wanted:
                self.helpers.append(PoolWorker(self._encoder))
        except OSError as error:
            self._wanted = len(self.helpers)
            what = "no more tokenizer processes could be started"
            self._tell(f"{what} ({error.strerror}); continuing")

    def _handed_out(self, batches: Iterator[Batch]) -> Iterator[Task]:
        for helper in self.helpers:
            while helper.free and (batch := next(batches, None)):
                yield Task(batch, helper.encode(batch), helper)

    def _do_one(self, batches: Iterator[Batch], waiting: deque[Task]) -> bool:
        """Encode the next batch here; whether there was one."""
        batch = next(batches, None)
        if batch:
            found: Found = Future()
            found.set_result(list(self._encoder.encode(batch)))
            waiting.append(Task(batch, found))
        return batch is not None

    def _result(self, task: Task) -> list[EncodedRow]:
        try:
            return task.found.result()
        except (OSError, EOFError, pickle.UnpicklingError):
            helper = task.helper
            assert helper is not None, "what is done here does not fail in this way"
            if not helper.lost:
                helper.lost = True
                self._tell(f"a tokenizer process ended ({helper.status()}); continuing")
            return list(self._encoder.encode(task.batch))


def _batches(rows: Iterable[Row]) -> Iterator[Batch]:
    batch: Batch = []
    chars = 0
    for row in rows:
        batch.append(row)
        chars += _chars([row])
        if len(batch) == BATCH_ROWS or chars >= BATCH_CHARS:
            yield batch
            batch, chars = [], 0
    if batch:
        yield batch


def _chars(rows: Iterable[Row]) -> int:
    return sum(len(row.text) + sum(len(m.content) for m in row.messages) for row in rows)
