"""Requests from readers to the worker: one file each in `control/`, renamed in, so never half.

The worker looks at every safe point (between two steps, answers, tensors) and takes the file
away once it acts. Requests to a run that nobody works on are refused by the caller, not kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from workbench.core.files import write_atomic

Request = Literal["stop", "checkpoint"]


def ask(control: Path, request: Request) -> None:
    """Put a request to the worker."""
    control.mkdir(exist_ok=True)
    write_atomic(control / request, "")


def asked(control: Path, request: Request) -> bool:
    """Whether the request is waiting. One `stat`: cheap enough for every step."""
    return (control / request).exists()


def clear(control: Path, request: Request) -> None:
    """Take the request away: it was acted on, or is from an earlier life of the run."""
    (control / request).unlink(missing_ok=True)
