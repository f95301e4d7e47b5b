"""The rows' tokens, asked of a helper process: the row wanted last is answered, others left out."""

from __future__ import annotations

import threading
from collections.abc import Callable

from workbench.core.subprocesses import Child, Said
from workbench.dataset.rows import Row
from workbench.tokenization.preview import Shown

SERVE = "workbench.runner.preview_process"


class Looking:
    """`news` is called, in another thread, when an answer has come."""

    def __init__(self, preset: str, news: Callable[[], None]) -> None:
        self.preset = preset
        self.ready = False
        self.trouble = ""  # why there are no tokens at all
        self._news = news
        self._lock = threading.Lock()
        self._wanted: Row | None = None
        self._asked: Row | None = None
        self._answered: Row | None = None
        self._answer: Shown | str | None = None
        self._child = Child(SERVE, {"preset": preset}, self._heard)

    def look(self, row: Row) -> Shown | str | None:
        """The row's tokens, or why it cannot be trained on; None where that is yet to come."""
        if self.trouble:
            return self.trouble
        with self._lock:
            if row is self._answered:
                return self._answer
            self._wanted = row
            self._ask()
        return None

    def stop(self) -> None:
        """Give the tokenizer back."""
        self._child.stop()

    def _ask(self) -> None:
        """Ask for the row that is wanted, in a thread, as a long one fills the pipe."""
        row = self._wanted
        if self.ready and self._asked is None and row is not None:
            self._asked, self._wanted = row, None
            ask = threading.Thread(target=lambda: self._child.ask(row.to_json()), daemon=True)
            ask.start()

    def _heard(self, said: Said) -> None:
        with self._lock:
            if "trouble" in said or "end" in said:
                self.trouble = self.trouble or said.get("trouble") or said["end"]
            elif "ready" in said:
                self.ready = True
            else:
                shown = said.get("shown")
                self._answer = said["refused"] if shown is None else Shown.from_json(shown)
                self._answered, self._asked = self._asked, None
            self._ask()
        self._news()
