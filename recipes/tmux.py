"""A program in a tmux of its own: keys go in, what a person would see comes out, as text or SVG.

The server has its own socket and no configuration, so nothing of the person's own tmux is touched.
"""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from rich.ansi import AnsiDecoder
from rich.console import Console

from recipes.picture import terminal_svg

POLL_S = 0.1
SETTLED_S = 0.4


class Tmux:
    """One window of `columns` x `lines` with `command` in it; the server ends with the block."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int,
        lines: int,
        folder: Path,
        environment: Mapping[str, str],
        socket: str = "workbench-tour",
    ) -> None:
        self.socket, self.columns = socket, columns
        settings = [word for key, value in environment.items() for word in ("-e", f"{key}={value}")]
        size = ["-x", str(columns), "-y", str(lines)]
        line = shlex.join(command)
        self._tmux("new-session", "-d", *size, "-c", str(folder), *settings, line)
        self._tmux("set-option", "-g", "status", "off")

    def __enter__(self) -> Tmux:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        subprocess.run(["tmux", "-L", self.socket, "kill-server"], capture_output=True, check=False)

    def keys(self, *names: str) -> None:
        """Press keys by tmux's names (`Enter`, `Escape`, `C-o`, `x`), one after the other."""
        for name in names:
            self._tmux("send-keys", name)
            time.sleep(SETTLED_S / 4)

    def type(self, text: str) -> None:
        """Type `text` as it is."""
        self._tmux("send-keys", "-l", text)
        time.sleep(SETTLED_S)

    def text(self) -> str:
        """What the window shows, without styles."""
        return self._tmux("capture-pane", "-p")

    def until(self, pattern: str, seconds: float = 20) -> str:
        """Wait until the window matches the expression; returns what it shows then.

        Raises TimeoutError with what it shows instead.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            shown = self.text()
            if re.search(pattern, shown):
                time.sleep(SETTLED_S)
                return self.text()
            time.sleep(POLL_S)
        raise TimeoutError(f"no {pattern!r} within {seconds:.0f} s:\n{self.text()}")

    def picture(self, target: Path, title: str) -> None:
        """Write what the window shows, with its colours, as SVG."""
        shown = self._tmux("capture-pane", "-p", "-e", "-N")
        console = Console(
            record=True,
            width=self.columns,
            file=io.StringIO(),
            force_terminal=True,
            color_system="truecolor",
        )
        for line in AnsiDecoder().decode(shown):  # a style lasts beyond the end of its line
            console.print(line, no_wrap=True, overflow="crop", crop=True)
        target.write_text(terminal_svg(console, title), encoding="utf-8")

    def _tmux(self, *words: str) -> str:
        command = ["tmux", "-L", self.socket, "-f", "/dev/null", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
