"""A fault of our own, as a file to send along: the traceback without any value of a variable.

Values may hold access tokens or a person's data, so they are left out. What an error's own words
may hold of that kind is made unreadable: tokens, secrets of the environment, the home folder.
"""

from __future__ import annotations

import os
import platform
import re
import traceback
from datetime import UTC, datetime
from pathlib import Path

from workbench import __version__
from workbench.core.files import write_atomic
from workbench.core.text import one_line

TOKEN = re.compile(r"\b(hf_|sk-|ghp_|github_pat_|glpat-)[A-Za-z0-9_-]{6,}")
SECRET_NAME = re.compile("TOKEN|SECRET|PASSW|API_?KEY|CREDENTIAL", re.IGNORECASE)
MIN_SECRET = 6  # a shorter value would blot out ordinary words


def report(error: BaseException) -> str:
    """Versions and traceback."""
    lines = redacted("".join(traceback.format_exception(error)))
    return f"workbench {__version__}, Python {platform.python_version()}\n\n{lines}"


def redacted(text: str) -> str:
    """The text without tokens, secret values of the environment, and the home folder's name."""
    for name, value in os.environ.items():
        if SECRET_NAME.search(name) and len(value) >= MIN_SECRET:
            text = text.replace(value, f"<{name}>")
    text = TOKEN.sub(lambda found: f"{found[1]}<redacted>", text)
    home = str(Path.home())
    return text.replace(home, "~") if len(home) > 1 else text


def save(error: BaseException, folder: Path) -> str:
    """Write the report; returns where it is, or why it is nowhere."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    path = folder / f"crash-{stamp}.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, report(error).encode("utf-8", "backslashreplace"))
    except OSError as reason:
        return f"no report: {reason.strerror}"
    return str(path)


def farewell(error: BaseException, folder: Path) -> str:
    """The last line on the terminal after a fault that the screen could not survive."""
    fault, place = one_line(redacted(repr(error)), 200), save(error, folder)
    return f"internal error: {fault} (details in {place}); runs keep running"
