"""Requests to a worker: files in `control/`, and signals.

A request is one file, renamed into place, so never half. The worker looks at every safe point
(between two steps, answers, tensors) and removes the file once it acts. The caller refuses requests
to a run that no worker holds.

SIGHUP is ignored, so a lost terminal changes nothing. SIGTERM and SIGINT mean: stop at the next
safe point; a second one: now.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import FrameType
from typing import Literal

from workbench.core.errors import EXIT_INTERRUPTED
from workbench.core.files import write_atomic

Request = Literal["stop", "checkpoint"]


def send_request(control: Path, request: Request) -> None:
    """Put a request to the worker."""
    control.mkdir(exist_ok=True)
    write_atomic(control / request, "")


def is_requested(control: Path, request: Request) -> bool:
    """Whether the request is waiting. One `stat`: cheap enough for every step."""
    return (control / request).exists()


def clear(control: Path, request: Request) -> None:
    """Take the request away: it was acted on, or is from an earlier life of the run."""
    (control / request).unlink(missing_ok=True)


class StopSignal:
    """Polled at safe points; without a `folder` for requests signals and `ask` alone count."""

    def __init__(self, folder: Path | None = None) -> None:
        self._control = folder
        self._signalled = self._told = False

    def listen(self) -> None:
        """Install the handlers; only the main thread may."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def ask(self) -> None:
        """Stop at the next safe point, as after a first signal."""
        self._told = True

    def __call__(self) -> bool:
        if self._signalled or self._told:
            return True
        return self._control is not None and is_requested(self._control, "stop")

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._signalled:
            os._exit(EXIT_INTERRUPTED)
        self._signalled = True
