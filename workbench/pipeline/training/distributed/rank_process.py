"""One rank of a training stage.

`python -m workbench.pipeline.training.distributed.rank_process RUN NUMBER --tell FD`.

The worker starts it (`supervisor.py`) and hears its events and its last word as JSON lines on the
descriptor FD. Standard input is a pipe from the worker: a byte asks to stop, its end is the
worker's, and this process's too. Only rank 0 tells events.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from workbench.core.files import write_all
from workbench.core.subprocesses import exit_with_parent
from workbench.pipeline.context import context_of
from workbench.pipeline.system_load import SystemLoadMonitor
from workbench.pipeline.training.distributed.rank import (
    exit_fields,
    process_group,
    take_rank_environment,
)
from workbench.preset.loader import load
from workbench.run.control import StopSignal
from workbench.run.events import Event
from workbench.run.folder import RunFolder


def main(arguments: Sequence[str] | None = None) -> int:
    """Train as the rank that the environment says; the exit status is 0 when all went well."""
    parser = argparse.ArgumentParser(prog="workbench.pipeline.training.distributed.rank_process")
    parser.add_argument("run", type=Path)
    parser.add_argument("number", type=int)
    parser.add_argument("--tell", type=int, required=True, metavar="FD")
    options = parser.parse_args(arguments)
    os.set_inheritable(options.tell, False)
    stop_signal = StopSignal()
    stop_signal.listen()
    exit_with_parent("kernel", on_byte=stop_signal.ask)

    one_at_a_time = threading.Lock()

    def tell(fields: dict[str, Any]) -> None:
        with one_at_a_time:
            write_all(options.tell, json.dumps(fields).encode() + b"\n")

    try:
        _train(RunFolder(options.run), options.number, stop_signal, tell)
    except BaseException as error:
        traceback.print_exception(error)
        sys.stderr.flush()
        tell(exit_fields(error))
        os._exit(1)  # not by way of exit handlers: they may wait for the other ranks
    tell(exit_fields(None))
    return 0


def _train(run: RunFolder, number: int, stop_signal: StopSignal, tell: Any) -> None:
    place = take_rank_environment(os.environ)
    assert place is not None, "started by the worker alone"
    from workbench.pipeline.training.job import train

    first = place.rank == 0

    def emit(event: Event) -> None:
        if first:
            tell({"event": event.kind, "fields": event.fields()})

    preset = load(str(run.preset_file)).preset
    with process_group(place) as ranks, SystemLoadMonitor(emit) if first else nullcontext():
        train(context_of(run, preset, emit, stop_signal, first=first), number, ranks)


if __name__ == "__main__":
    sys.exit(main())
