"""Copy that works over SSH and in multiplexers, and says what it did instead of what it hoped for.

A program of the desktop is asked where there is one: it tells whether it worked. Else the text
goes to the terminal (OSC 52), in tmux and GNU screen by the ways that they let through. Nobody can
know whether a terminal took it: a file always has it.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
from pathlib import Path

from textual.app import App

from workbench.core.files import write_atomic

LIMIT_S = 2.0
SCREEN_CHUNK = 500  # GNU screen passes strings of up to 768 bytes on


def copy(app: App[None], text: str, what: str, folder: Path) -> str:
    """Copy `text`; returns the line to say about it."""
    clean = text.encode(errors="replace").decode()
    if app.is_web:
        app.copy_to_clipboard(clean)
        way = "sent to the browser's clipboard"
    elif program := _desktop(clean):
        way = f"copied to the clipboard ({program})"
    elif os.environ.get("TMUX"):
        way = _tmux(clean)
    elif os.environ.get("STY"):
        _write(app, _through_screen(clean))
        way = "sent through screen to the terminal's clipboard (OSC 52)"
    else:
        app.copy_to_clipboard(clean)
        way = "sent to the terminal's clipboard (OSC 52)"
    return f"{what}: {way}; also in {_file(text, folder)}"


def _desktop(text: str) -> str:
    """The program of this desktop that took the text; "" over SSH and where there is none."""
    if "SSH_CONNECTION" in os.environ:
        return ""
    programs: list[tuple[str, ...]] = []
    if sys.platform == "darwin":
        programs.append(("pbcopy",))
    if os.environ.get("WAYLAND_DISPLAY"):
        programs.append(("wl-copy",))
    if os.environ.get("DISPLAY"):
        programs += [("xclip", "-selection", "clipboard"), ("xsel", "-b", "-i")]
    found = (words for words in programs if shutil.which(words[0]) and _fed(text, *words))
    return next((words[0] for words in found), "")


def _tmux(text: str) -> str:
    if _fed(text, "tmux", "load-buffer", "-w", "-"):
        return "in tmux's buffer and sent on to the terminal's clipboard"
    if _fed(text, "tmux", "load-buffer", "-"):  # before tmux 3.2
        return "in tmux's buffer (its prefix and ] paste it)"
    return "tmux refused it"


def _fed(text: str, *words: str) -> bool:
    """Whether the program took the text from its standard input."""
    try:
        done = subprocess.run(
            words,
            input=text.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=LIMIT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _through_screen(text: str) -> str:
    """OSC 52 in pieces, each in a string that screen hands on as it is."""
    whole = f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\a"
    starts = range(0, len(whole), SCREEN_CHUNK)
    return "".join(f"\x1bP{whole[at : at + SCREEN_CHUNK]}\x1b\\" for at in starts)


def _write(app: App[None], text: str) -> None:
    if app._driver is not None:
        app._driver.write(text)


def _file(text: str, folder: Path) -> str:
    path = folder / "clipboard.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode(errors="backslashreplace"))
    except OSError as error:
        return f"no file ({error.strerror})"
    return str(path)
