"""The worker's log: follows its end while the cursor stands there, finds text, any size."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from workbench.core.text import visible
from workbench.tui.widgets.log_view import LogFile
from workbench.tui.widgets.row_list import Rows


class LogView(Rows):
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
