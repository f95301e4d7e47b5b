"""The ranks of one training stage, started here and ended here: `[launch] processes`.

The worker trains nothing itself then. It starts the ranks in torchrun's manner, hands on what the
first of them tells, and watches them all. Invariant: when `train` returns or raises none of them
lives, and none outlives the worker; a rank that fails or is killed ends the stage.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from torch.distributed import TCPStore  # type: ignore[attr-defined]

from workbench.core.runtime import usable_cores
from workbench.core.subprocesses import start_pipes
from workbench.pipeline.system_load import elsewhere
from workbench.pipeline.training.distributed.rank import RankExit, died, error_of
from workbench.run import events
from workbench.run.events import Emit
from workbench.run.folder import RunFolder

RANK = (sys.executable, "-m", "workbench.pipeline.training.distributed.rank_process")
HOST = "127.0.0.1"
LOOPBACK = {"linux": "lo", "darwin": "lo0"}
POLL_S = 0.1
GRACE_S = 2.0  # for the others to say why too, once a rank has failed


@dataclass(frozen=True)
class RankMessage:
    """What a rank told; no fields: it has ended."""

    rank: int
    fields: Mapping[str, Any]


def train(
    run: RunFolder, number: int, size: int, emit: Emit, should_stop: Callable[[], bool]
) -> None:
    """Train the preset's stage `number` by `size` processes of this machine.

    Raises what the stage raised in them, RunFailed where one was killed.
    """
    store = TCPStore(HOST, 0, is_master=True, wait_for_workers=False)  # where they meet
    heard: queue.SimpleQueue[RankMessage] = queue.SimpleQueue()
    command = [*RANK, str(run.path), str(number)]
    with _started(command, size, store.port, heard) as ranks:
        endings = _followed(ranks, heard, emit, should_stop)
    error = error_of(endings, size, str(run.log_file))
    if error is not None:
        raise error


def environment(rank: int, size: int, port: int, ours: Mapping[str, str]) -> dict[str, str]:
    """The environment of a rank: ours, with what torchrun would set.

    The cores are shared out; who set OMP_NUM_THREADS or an interface for gloo keeps it.
    """
    cores = usable_cores()
    return {
        "OMP_NUM_THREADS": str(max(1, cores // size)),
        "GLOO_SOCKET_IFNAME": LOOPBACK.get(sys.platform, ""),
        **ours,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": HOST,
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # rank 0 opens none: it stands already
        "TORCHELASTIC_RESTART_COUNT": "0",
    }


class Rank:
    """One child: its process, the way to it, and the thread that hears what it tells."""

    def __init__(
        self, command: Sequence[str], rank: int, given: Mapping[str, str], heard: Any
    ) -> None:
        self.rank, self._heard, self._asked = rank, heard, False
        hear, tell = os.pipe()
        try:
            self._process = start_pipes(
                [*command, "--tell", str(tell)], stdout=None, pass_fds=(tell,), environment=given
            )
        except BaseException:
            os.close(hear)
            raise
        finally:
            os.close(tell)
        self._thread = threading.Thread(target=self._hear, args=(hear,), daemon=True)
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Once: at its next safe point."""
        if not self._asked and self._process.stdin:
            self._asked = True
            with suppress(BrokenPipeError):
                self._process.stdin.write(b"s")
                self._process.stdin.flush()

    def end(self) -> int:
        """Its exit status, after a kill where it still lives."""
        self._process.kill()
        if self._process.stdin:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        self._thread.join()
        return self._process.wait()

    def ended(self) -> int:
        """Its exit status; it has closed its pipe, which only its end does."""
        return self._process.wait()

    def _hear(self, descriptor: int) -> None:
        with open(descriptor, "rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):  # else it was killed amid the word
                    self._heard.put(RankMessage(self.rank, json.loads(line)))
        self._heard.put(RankMessage(self.rank, {}))


@contextmanager
def _started(
    command: Sequence[str], size: int, port: int, heard: queue.SimpleQueue[RankMessage]
) -> Iterator[list[Rank]]:
    ranks: list[Rank] = []
    try:
        for rank in range(size):
            given = environment(rank, size, port, os.environ)
            ranks.append(Rank(command, rank, given, heard))
        yield ranks
    finally:
        for one in ranks:
            one.end()
        elsewhere.gpu = None


def _followed(
    ranks: Sequence[Rank],
    heard: queue.SimpleQueue[RankMessage],
    emit: Emit,
    should_stop: Callable[[], bool],
) -> list[RankExit]:
    """Hand events on until all ranks have ended, or some while after one has failed.

    Returns their last words, in the order they were heard.
    """
    endings: dict[int, RankExit] = {}
    gone, until = 0, float("inf")
    while gone < len(ranks) and time.monotonic() < until:
        if should_stop():
            for rank in ranks:
                rank.ask_to_stop()
        try:
            word = heard.get(timeout=POLL_S)
        except queue.Empty:
            continue
        if "event" in word.fields:
            _hand_on(word, emit)
            continue
        if word.fields:
            ending = RankExit(word.rank, **word.fields)
        else:
            gone += 1
            ending = endings.get(word.rank) or died(word.rank, ranks[word.rank].ended())
        endings[word.rank] = ending
        if not ending.well:
            until = min(until, time.monotonic() + GRACE_S)
    return list(endings.values())


def _hand_on(word: RankMessage, emit: Emit) -> None:
    event = events.parse(word.fields["event"], word.fields["fields"])
    assert event is not None, f"a rank of this very version told {word.fields}"
    if isinstance(event, events.Load):
        elsewhere.hear(event)  # the worker's own tells it with all ranks'
    else:
        emit(event)
