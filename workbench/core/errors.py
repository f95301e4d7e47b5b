"""Errors that speak to the person: one line, the place first, then what is wrong.

`UserError` is the only error that the command line prints without a traceback (exit status 2).
Anything else is a bug of ours: the traceback goes to the log and one line to the screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_INPUT = 2
EXIT_INTERRUPTED = 130

MAX_SHOWN = 20


class WorkbenchError(Exception):
    """Base of every error that workbench raises on purpose."""

    exit_status = EXIT_FAILED


class UserError(WorkbenchError):
    """The input is at fault: `path:line: message (hint)`, exit status 2.

    `path` and `line` may be left out where there is no file to point at.
    """

    exit_status = EXIT_INPUT

    def __init__(
        self,
        message: str,
        *,
        path: Path | str | None = None,
        line: int | None = None,
        hint: str = "",
    ) -> None:
        self.message, self.path, self.line, self.hint = message, path, line, hint
        super().__init__(message)

    def __str__(self) -> str:
        place = "" if self.path is None else f"{self.path}:"
        if place and self.line is not None:
            place += f"{self.line}:"
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place} {self.message}{hint}".strip()


class UserErrors(UserError):
    """Several faults of one input, found together. Prints the first twenty and counts the rest."""

    def __init__(self, errors: Sequence[UserError]) -> None:
        assert errors, "an empty list of errors is no error"
        first = errors[0]
        super().__init__(first.message, path=first.path, line=first.line, hint=first.hint)
        self.errors = list(errors)

    def __str__(self) -> str:
        lines = [str(error) for error in self.errors[:MAX_SHOWN]]
        if len(self.errors) > MAX_SHOWN:
            lines.append(f"and {len(self.errors) - MAX_SHOWN} more")
        return "\n".join(lines)


class RunFailed(WorkbenchError):
    """The run could not go on (diverged, disk full, a stage's own limit): exit status 1."""


class Interrupted(WorkbenchError):
    """Somebody asked the run to stop; it can be resumed: exit status 130."""

    exit_status = EXIT_INTERRUPTED
