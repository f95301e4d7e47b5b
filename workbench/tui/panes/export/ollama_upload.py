"""Taking a run's model to Ollama: `workbench ollama RUN --json` as a child, its words in a file.

A process of its own, as Ollama's client takes a quarter of a second to import, and told through a
file, so that it goes on when the screen is closed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.core.subprocesses import let_go, start_detached
from workbench.core.text import one_line, size
from workbench.run.folder import RunFolder

COMMAND = (sys.executable, "-m", "workbench", "ollama")
LAST_BYTES = 4096


class OllamaUpload:
    """One child. `poll` now and then; `said` is its last word once it has ended."""

    def __init__(
        self, run: RunFolder, name: str, kind: str, log: Path, command: Sequence[str] = COMMAND
    ) -> None:
        self.run, self.name, self.said, self.problem = run, name, "", ""
        self.stopped = False
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        words = [
            *command,
            str(run.path),
            "--name",
            name,
            "--json",
            *(["--type", kind] if kind else []),
        ]
        with open(log, "wb") as out:
            self._child = start_detached(words, out)

    def poll(self) -> str:
        """What goes on, in words; "" once it has ended, and then `said` or `problem` tells how."""
        ended = self._child.poll()
        told = self._last()
        if ended is None:
            return _words(told)
        self.said, self.problem = told.get("said", ""), told.get("problem", "")
        if self.stopped and not self.said:
            self.problem = "stopped; the model was not created in Ollama"
        elif not self.said and not self.problem:
            self.problem = self._raw() or f"it ended with exit status {ended}"
        return ""

    def stop(self) -> None:
        """End it; what was sent so far is lost."""
        self.stopped = True
        self._child.terminate()
        self._child.wait()

    def let_go(self) -> None:
        """The screen ends, the child goes on."""
        let_go(self._child)

    def _last(self) -> dict[str, Any]:
        """The last whole line that is JSON."""
        for line in reversed(self._tail().split(b"\n")[:-1]):
            try:
                told = json.loads(line)
            except ValueError:
                continue
            return told if isinstance(told, dict) else {}
        return {}

    def _raw(self) -> str:
        lines = self._tail().decode("utf-8", "replace").strip().splitlines()
        return one_line(lines[-1], 300) if lines else ""

    def _tail(self) -> bytes:
        with open(self._log, "rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - LAST_BYTES))
            return file.read()


def _words(told: dict[str, Any]) -> str:
    total = told.get("total", 0)
    of = f" {size(told['done'])} of {size(total)}" if total else ""
    return one_line(str(told.get("what", "connecting to the server")), 60) + of
