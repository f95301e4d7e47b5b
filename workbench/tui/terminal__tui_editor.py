"""$EDITOR at a line, with the terminal handed over to it and taken back afterwards."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from textual.app import App, SuspendNotSupported

from workbench.core.errors import UserError

FALLBACK = "vi"
WITH_COLON = ("code", "codium", "subl", "hx", "zed", "micro")


def edit(app: App[None], path: Path, line: int = 1) -> None:
    """Open `path` in the person's editor and wait for its end. Raises UserError when it fails."""
    words = command(path, line)
    try:
        with app.suspend():
            status = _run(words)
    except SuspendNotSupported:
        raise UserError("this terminal cannot start an editor") from None
    except FileNotFoundError:
        raise UserError(f"editor not found: '{words[0]}'", hint="set $EDITOR to yours") from None
    if status:
        raise UserError(f"the editor '{words[0]}' ended with exit status {status}")


def command(path: Path, line: int) -> list[str]:
    """The words of the command: `$VISUAL`, `$EDITOR` or vi, with the line as it takes it."""
    set_one = os.environ.get("VISUAL") or os.environ.get("EDITOR") or FALLBACK
    try:
        words = shlex.split(set_one)
    except ValueError:
        raise UserError(f"$EDITOR is not a valid command: {set_one}") from None
    name = Path(words[0]).name if words else ""
    if name in ("code", "codium"):
        return [*words, "--wait", "--goto", f"{path}:{line}"]
    if name in WITH_COLON:
        return [*words, f"{path}:{line}"]
    return [*words, f"+{line}", str(path)]


def _run(words: list[str]) -> int:
    """The editor has the terminal itself: our own descriptors 1 and 2 point at a log."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done = subprocess.run(
            words, stdin=sys.__stdin__, stdout=sys.__stdout__, stderr=sys.__stderr__, check=False
        )
    finally:
        signal.signal(signal.SIGINT, before)
    return done.returncode
