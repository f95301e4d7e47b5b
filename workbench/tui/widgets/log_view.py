"""The worker's log, of any size: it follows the end while the cursor is there, and finds text.

Only the offsets of lines are kept, never the text. Lines are as in the file; the widget makes them
visible. A log that was rotated or truncated is read anew.
"""

from __future__ import annotations

import os
from array import array
from pathlib import Path

from rich.text import Text

from workbench.core.text import visible
from workbench.tui.widgets.row_list import RowList

SCAN_BYTES = 4 << 20
MAX_LINE_BYTES = 4000


class LogFile:
    """`poll` it, then ask for `line(n)`, 0 to `len(log) - 1`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._starts = array("q")
        self._scanned = 0
        self._inode = 0
        self._ended = True  # the last byte scanned was a newline (or nothing was)

    def __len__(self) -> int:
        return len(self._starts)

    def poll(self) -> bool:
        """Find the lines that are new, at most a few megabytes a time; True if there are some."""
        try:
            with open(self.path, "rb") as file:
                again = self._notice(os.fstat(file.fileno()))
                file.seek(self._scanned)
                data = file.read(SCAN_BYTES)
        except OSError:
            return False
        self._scan(data)
        return again or bool(data)

    def line(self, number: int) -> str:
        """One line, without its end; a very long one is cut."""
        end = self._starts[number + 1] if number + 1 < len(self._starts) else self._scanned
        start = self._starts[number]
        try:
            with open(self.path, "rb") as file:
                data = os.pread(file.fileno(), min(MAX_LINE_BYTES, end - start), start)
        except OSError:
            return ""
        return data.decode("utf-8", "replace").rstrip("\r\n").rpartition("\r")[2]

    def find(self, part: str, start: int, step: int) -> int | None:
        """The number of the next line holding `part`, upper or lower case, going round once."""
        wanted, total = part.lower(), len(self)
        for distance in range(1, total + 1):
            number = (start + step * distance) % total
            if wanted in self.line(number).lower():
                return number
        return None

    def _notice(self, status: os.stat_result) -> bool:
        again = self._inode not in (0, status.st_ino) or status.st_size < self._scanned
        if again:
            self._starts, self._scanned, self._ended = array("q"), 0, True
        self._inode = status.st_ino
        return again

    def _scan(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            if self._ended:
                self._starts.append(self._scanned + at)
            newline = data.find(b"\n", at)
            self._ended = newline >= 0
            at = newline + 1 if self._ended else len(data)
        self._scanned += len(data)


class LogView(RowList):
    """`read` a file, `tick` now and then. `following` ends when the cursor leaves the last line."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.following = True
        self.unseen = 0
        self.wanted = ""
        self._log: LogFile | None = None

    def read(self, path: Path) -> None:
        """Show another file from its end."""
        if self._log is None or self._log.path != path:
            self._log = LogFile(path)
            self.changed(0)
            self.following, self.unseen = True, 0
            self.tick()

    def tick(self) -> None:
        """Take in what the file has new."""
        if self._log is None or not self._log.poll():
            return
        before, count = self.count, len(self._log)
        self.changed(count)
        if self.following:
            self.cursor = count - 1
        else:
            self.unseen += max(0, count - before)

    def follow(self) -> None:
        """Go to the end and stay there."""
        self.following, self.unseen = True, 0
        self.cursor = self.count - 1
        self.refresh()

    def find(self, part: str, step: int = 1) -> bool:
        """Go to the next line (-1: the one before) that holds the text; False for none."""
        self.wanted = part
        found = self._log.find(part, self.cursor, step) if self._log and part else None
        if found is not None:
            self.cursor = found
        self.refresh()
        return found is not None

    def row(self, index: int) -> Text:
        line = self._log.line(index) if self._log and index < len(self._log) else ""
        text = Text(visible(line).replace("\t", "    "), no_wrap=True)
        if self.wanted:
            low, part = text.plain.lower(), self.wanted.lower()
            at = low.find(part)
            while at >= 0:
                text.stylize("reverse", at, at + len(part))
                at = low.find(part, at + len(part))
        return text

    def watch_cursor(self, old: int, new: int) -> None:
        super().watch_cursor(old, new)
        at_end = new >= self.count - 1
        if self.following and not at_end:
            self.following = False
        elif at_end and self.count:
            self.following, self.unseen = True, 0
