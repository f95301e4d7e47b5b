"""Copy that works over SSH and in tmux, and says what it did instead of what it hoped for.

OSC 52 goes to the terminal, but a default tmux swallows it, so inside tmux its own buffer is
asked to pass the text on. Nobody can know whether a terminal took it: a file always has it.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from textual.app import App

from workbench.files import write_atomic

TMUX_LIMIT_S = 2.0


def copy(app: App[None], text: str, what: str, folder: Path) -> str:
    """Copy `text`; returns the line to say about it."""
    if os.environ.get("TMUX"):
        way = "to tmux and the terminal" if _tmux(text) else "tmux refused it"
    else:
        app.copy_to_clipboard(text)
        way = "sent to the terminal's clipboard (OSC 52)"
    return f"{what}: {way}; also in {_file(text, folder)}"


def _tmux(text: str) -> bool:
    try:
        done = subprocess.run(
            ["tmux", "load-buffer", "-w", "-"],
            input=text.encode(errors="replace"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TMUX_LIMIT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _file(text: str, folder: Path) -> str:
    path = folder / "clipboard.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode(errors="backslashreplace"))
    except OSError as error:
        return f"no file ({error.strerror})"
    return str(path)
