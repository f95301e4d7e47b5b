"""One line on a terminal that moves; nothing where there is no terminal."""

from __future__ import annotations

from typing import TextIO

from workbench.core.text import visible

CLEAR = "\r\x1b[2K"


class ProgressLine:
    """`show` a line as often as you like; `end` takes it away."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._drawn = out, ""

    def show(self, line: str) -> None:
        """Draw it, if it is another one and somebody can see it."""
        if self._out.isatty() and line != self._drawn:
            self._out.write(f"{CLEAR}  {visible(line)}")
            self._out.flush()
            self._drawn = line

    def end(self) -> None:
        """Leave the terminal's line empty."""
        if self._drawn:
            self._out.write(CLEAR)
            self._out.flush()
            self._drawn = ""
