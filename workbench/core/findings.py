"""What checks find: errors, warnings and notes, collected first and reported or raised together.

A check is a function of one subject that yields findings. A check that raises a WorkbenchError has
found one error; the checks after it still run, so that a person sees everything at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from workbench.core.errors import UserError, UserErrors, WorkbenchError

Level = Literal["error", "warning", "note"]
Subject = TypeVar("Subject")


@dataclass(frozen=True)
class Finding:
    """One finding. `check` is the name of the check that made it, filled in by `collect`."""

    level: Level
    message: str
    hint: str = ""
    path: Path | str | None = None
    check: str = ""

    def __str__(self) -> str:
        return str(self.error())

    def error(self) -> UserError:
        """The finding as an error for the person."""
        return UserError(self.message, path=self.path, hint=self.hint)


def error(message: str, *, hint: str = "", path: Path | str | None = None) -> Finding:
    """A finding that blocks the run."""
    return Finding("error", message, hint, path)


def warning(message: str, *, hint: str = "", path: Path | str | None = None) -> Finding:
    """A finding that the person should know and that blocks nothing."""
    return Finding("warning", message, hint, path)


def note(message: str, *, hint: str = "", path: Path | str | None = None) -> Finding:
    """A finding that is worth a line and asks for nothing."""
    return Finding("note", message, hint, path)


def collect(
    checks: Mapping[str, Callable[[Subject], Iterable[Finding]]], subject: Subject
) -> list[Finding]:
    """What all `checks` (name -> check) find in `subject`, in their order."""
    found = list[Finding]()
    for name, check in checks.items():
        try:
            for one in check(subject):
                found.append(replace(one, check=name))
        except UserErrors as errors:
            found += [_of_error(one, name) for one in errors.errors]
        except WorkbenchError as one:
            found.append(_of_error(one, name))
    return found


def raise_errors(found: Sequence[Finding]) -> None:
    """Raise UserErrors with every error among the findings; return when there is none."""
    errors = [one.error() for one in found if one.level == "error"]
    if errors:
        raise UserErrors(errors)


def _of_error(raised: WorkbenchError, check: str) -> Finding:
    if isinstance(raised, UserError):
        return Finding("error", raised.message, raised.hint, raised.path, check)
    return Finding("error", str(raised), check=check)
