"""Steps, time and memory of the draft, counted by the dry run's child while nobody waits for it.

A draft without faults is counted once it has rested; another change ends the child. Counts are
kept by their text, so an undo has them at once. Large data are counted only when asked for.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from workbench.core.errors import WorkbenchError
from workbench.tui.panes.preset.draft_file import DraftFile
from workbench.tui.styled_text import styled

if TYPE_CHECKING:
    from workbench.runner.dry_run import DryRun

REST_S = 0.8
LARGE_BYTES = 32 << 20  # data that take the child more than moments
KEPT = 32


class DraftDryRun(DraftFile):
    """Keeps `plan`, the lines of the estimate, and `summary`, one line of it, up to the draft."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.plan: list[Text] = []
        self.summary = Text()
        self._counted: dict[str, tuple[list[Text], Text]] = {}
        self._seen = self._asked = ""
        self._changed_at = 0.0
        self._child: DryRun | None = None

    def estimated(self) -> None:
        """The estimate, or the word about it, is new."""

    def ticked(self) -> None:
        super().ticked()
        draft = self.draft
        if draft is None:
            return
        now = time.monotonic()
        if draft.text != self._seen:
            self._seen, self._changed_at = draft.text, now
            self._drop()
            self._tell_first()
        elif now - self._changed_at >= REST_S and self._seen not in (self._asked, *self._counted):
            if not draft.now.faults and not draft.now.trouble and not _is_large(draft.now.preset):
                self.count()

    def count_if_new(self) -> None:
        """Count the draft, large data or not, where that has not been done."""
        if self.draft and self.draft.text not in self._counted:
            self.count()

    def count(self) -> None:
        """Have the child count the draft as it stands. Raises UserErrors for its faults."""
        from workbench.runner.dry_run import DryRun
        from workbench.tui.panes.preset import form_text

        assert self.draft is not None
        text, loaded = self.draft.text, self.draft.loaded()
        if text == self._asked:
            return
        self._drop()
        self._seen = self._asked = text
        self._tell([styled("counting rows, steps and memory ...", "dim")])

        def work() -> tuple[list[Text], Text]:
            try:
                child = self._child = DryRun(loaded)
                if self._asked != text:  # it was dropped while it started
                    child.cancel()
                found: dict[str, Any] = child.found()
            except WorkbenchError as error:
                lines = [styled(line, "red") for line in str(error).splitlines()]
                return lines, lines[0]
            return form_text.plan_lines(loaded, found), form_text.plan_summary(loaded, found)

        def then(told: tuple[list[Text], Text]) -> None:
            if self._asked == text:
                self._asked = ""
                self._counted = dict([*self._counted.items()][-KEPT:]) | {text: told}
                self._tell(*told)

        self.screen_app.in_background(work, then)

    def on_unmount(self) -> None:
        self._drop()

    def _drop(self) -> None:
        """What is being counted is of no use any more."""
        self._asked = ""
        if self._child is not None:
            self._child.cancel()
            self._child = None

    def _tell_first(self) -> None:
        """What can be said at once of a text that is new."""
        assert self.draft is not None
        if self._seen in self._counted:
            self._tell(*self._counted[self._seen])
        elif self.draft.now.faults or self.draft.now.trouble:
            self._tell([styled("Fix the errors to see steps, time and memory.", "dim")])
        elif _is_large(self.draft.now.preset):
            self._tell([styled("Large dataset: press p to count rows, steps and memory.", "dim")])
        else:
            self._tell([styled("counting rows, steps and memory ...", "dim")])

    def _tell(self, lines: list[Text], summary: Text | None = None) -> None:
        self.plan, self.summary = lines, summary or lines[0]
        self.estimated()


def _is_large(preset: Any) -> bool:
    total = 0
    for source in preset.data.source:
        path = Path(source.path).expanduser()
        files = path.rglob("*") if path.is_dir() else [path]
        for file in files:
            total += file.stat().st_size if file.is_file() else 0
            if total > LARGE_BYTES:
                return True
    return False
