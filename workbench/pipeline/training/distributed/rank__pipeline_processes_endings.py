"""How a rank ended, in words that go through a pipe, and the error that the worker makes of them.

Invariant: of several failures the cause is told, not its echo. A rank that died tells nothing, and
the others fail at its silence: it comes first. Then whoever spoke first.
"""

from __future__ import annotations

import errno
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from workbench.core.errors import Interrupted, RunFailed, UserError, WorkbenchError

Kind = Literal["done", "interrupted", "input", "failed", "system", "fault", "died"]
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Ending:
    """The last word of a rank; "died" is the word of its parent."""

    rank: int
    kind: Kind
    text: str = ""
    errno: int = 0

    @property
    def well(self) -> bool:
        """Whether it ended because all did."""
        return self.kind in ("done", "interrupted")


def told(error: BaseException | None) -> dict[str, Any]:
    """The fields of an `Ending`, for `Ending(rank, **fields)`."""
    if error is None:
        return {"kind": "done"}
    text = str(error)
    if isinstance(error, Interrupted | KeyboardInterrupt):
        return {"kind": "interrupted", "text": text}
    if isinstance(error, UserError):
        return {"kind": "input", "text": text}
    if isinstance(error, WorkbenchError):
        return {"kind": "failed", "text": text}
    if isinstance(error, OSError) and error.errno in FULL:
        return {"kind": "system", "text": text, "errno": error.errno}
    first = text.strip().splitlines()
    return {"kind": "fault", "text": f"{type(error).__name__}: {first[0] if first else ''}"}


def died(rank: int, returncode: int) -> Ending:
    """The ending of a rank that said no last word."""
    if returncode >= 0:
        return Ending(rank, "died", f"ended with exit status {returncode}")
    name = signal.Signals(-returncode).name
    why = ": by someone, or by the system if memory ran out" if name == "SIGKILL" else ""
    return Ending(rank, "died", f"was killed by {name}{why}")


def error_of(endings: Sequence[Ending], size: int, where: str) -> WorkbenchError | OSError | None:
    """What a stage of `size` ranks came to, by their endings in the order they were heard.

    None when all of them are done. `where` names the place that has all that they printed.
    """
    failed = sorted((e for e in endings if not e.well), key=lambda e: e.kind != "died")
    if not failed:
        stopped = [e for e in endings if e.kind == "interrupted"]
        return Interrupted(stopped[0].text) if stopped else None
    first = failed[0]
    all_the_same = len(failed) == size and len({e.text for e in failed}) == 1
    text = first.text if all_the_same else f"rank {first.rank} of {size}: {first.text}"
    match first.kind:
        case "input":
            return UserError(text)
        case "system":
            return OSError(first.errno, text)
        case "failed":
            return RunFailed(text)
    return RunFailed(f"{text} (details: {where})")
