"""A fault of our own, as a file to send along: the traceback without any value of a variable.

Values may hold access tokens or a person's data, so they are left out.
"""

from __future__ import annotations

import platform
import traceback
from datetime import UTC, datetime
from pathlib import Path

from rich.text import Text

from workbench import __version__
from workbench.files import write_atomic


def report(error: BaseException) -> str:
    """Versions and traceback."""
    lines = traceback.format_exception(error)
    return f"workbench {__version__}, Python {platform.python_version()}\n\n{''.join(lines)}"


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


def farewell(error: BaseException, folder: Path) -> Text:
    """The last line on the terminal after a fault that the screen could not survive."""
    place = save(error, folder)
    return Text(f"workbench itself is at fault: {error!r} (see {place}); runs at work go on")
