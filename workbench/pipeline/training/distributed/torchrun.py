"""The processes that torchrun started, on one machine or several: one leads, the others follow.

The first is the run's worker. The others do nothing until it names a training stage, train that
beside it, and wait again. Invariant: a follower writes nothing into the run's folder and tells no
event; who leads ends with its parent, so that torchrun's end is everybody's.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.core.errors import (
    EXIT_FAILED,
    RunFailed,
    UserError,
    WorkbenchError,
)
from workbench.core.subprocesses import exit_with_parent
from workbench.pipeline.context import Context, context_of
from workbench.pipeline.training.distributed.rank import RankInfo, process_group
from workbench.preset.loader import load
from workbench.run.control import StopSignal
from workbench.run.events import Event
from workbench.run.folder import RunFolder

if TYPE_CHECKING:  # imports torch
    from workbench.pipeline.training.distributed.collectives import ProcessGroup


class TorchrunGroup:
    """The leader's side. `ranks` are all of them, this process the first."""

    def __init__(self, ranks: ProcessGroup) -> None:
        self._ranks = ranks

    def train(self, context: Context, number: int) -> None:
        """Train the preset's stage `number` together.

        Raises RunFailed where another one ended amid it.
        """
        import torch.distributed as dist

        from workbench.pipeline.training.job import train

        asked = {"run": str(context.run.path), "number": number}
        _refuse(self._ranks, self._ranks.words(json.dumps(asked))[0])
        try:
            train(context, number, self._ranks)
        except RuntimeError as error:
            lost = isinstance(error, dist.DistError) or "by peer" in str(error)
            if not lost:  # gloo's own errors are plain ones: connection closed, or reset, by peer
                raise
            message = "another rank ended during training; torchrun shows which one and why"
            raise RunFailed(f"{message} (workbench resume {context.run.name})") from error


def run_leader(place: RankInfo, work: Callable[[TorchrunGroup], int]) -> int:
    """The exit status of `work` at the head of the others; they are let go at its good end.

    At any other this process ends on the spot: its lost connection ends the others, wherever they
    stand, and nobody waits for anybody.
    """
    exit_with_parent("poll")
    with process_group(place) as ranks:
        if status := work(TorchrunGroup(ranks)):
            sys.stderr.flush()
            os._exit(status)
        ranks.words("")
    return 0


def run_follower(place: RankInfo) -> int:
    """Train what the leader names, until it names nothing more; returns the exit status."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with process_group(place) as ranks:
            while asked := ranks.words("")[0]:
                _refuse(ranks, asked)
                _train(asked, ranks)
    except WorkbenchError as error:
        print(error, file=sys.stderr, flush=True)
        return error.exit_status
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(EXIT_FAILED)  # not by way of exit handlers: they may wait for the other ranks
    return 0


def _train(asked: str, ranks: ProcessGroup) -> None:
    from workbench.pipeline.training.job import train

    given = json.loads(asked)
    run = RunFolder(Path(given["run"]))
    stop_signal = StopSignal(run.control)
    stop_signal.listen()
    preset = load(str(run.preset_file)).preset
    try:
        train(context_of(run, preset, _unheard, stop_signal, first=False), given["number"], ranks)
    finally:  # waiting for the next stage it may end at once
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)


def _refuse(ranks: ProcessGroup, asked: str) -> None:
    """Raise UserError on all ranks where one of them does not see the run's folder."""
    path = Path(json.loads(asked)["run"])
    there = (path / "preset.toml").is_file()
    blind = [host for host in ranks.words("" if there else socket.gethostname()) if host]
    if blind:
        hint = "put the runs on storage shared by all machines; see $WORKBENCH_RUNS"
        raise UserError(f"{blind[0]} does not see the run's folder {path}", hint=hint)


def _unheard(event: Event) -> None:
    """The first rank alone tells events."""
