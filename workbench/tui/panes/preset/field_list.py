"""The two lists of the preset's form: its sections as a tree, and the keys of one section."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from workbench.core.text import one_line
from workbench.tui.widgets.row_list import RowList

if TYPE_CHECKING:
    from workbench.tui.panes.preset.outline import Branch, Entry

KEY_WIDTH = 24
NARROW_KEY_WIDTH = 18


class Branches(RowList):
    """The sections; `changed` and `faulty` ones carry a mark."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.branches: Sequence[Branch] = ()
        self._changed: Collection[object] = ()
        self._faulty: Collection[object] = ()

    def show(
        self,
        branches: Sequence[Branch],
        changed: Collection[object],
        faulty: Collection[object],
    ) -> None:
        """Draw these sections; the two collections hold paths of sections."""
        self.branches, self._changed, self._faulty = branches, changed, faulty
        self.changed(len(branches))

    def row(self, index: int) -> Text:
        branch = self.branches[index]
        mark = _mark(branch.path in self._faulty, branch.path in self._changed)
        return mark.append(f"{'  ' * branch.depth}{branch.title}")


class Fields(RowList):
    """Key and value, one a line; what the file does not say itself is dim."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.entries: Sequence[Entry] = ()

    def show(self, entries: Sequence[Entry]) -> None:
        """Draw these keys."""
        self.entries = entries
        self.changed(len(entries))

    def point_at(self, index: int) -> None:
        """Put the cursor there; new rows can be scrolled only once they are laid out."""
        self.cursor = index
        self.call_after_refresh(self._into_view)

    @property
    def entry(self) -> Entry | None:
        """The key under the cursor."""
        return self.entries[self.cursor] if self.entries else None

    def row(self, index: int) -> Text:
        entry = self.entries[index]
        width = KEY_WIDTH if self.size.width >= 50 else NARROW_KEY_WIDTH
        text = _mark(bool(entry.faults), entry.changed)
        text.append(f"{one_line(entry.field.key, width):{width}} ")
        text.append(one_line(entry.shown, 200), "" if entry.said else "dim")
        return text


def _mark(faulty: bool, changed: bool) -> Text:
    if faulty:
        return Text(no_wrap=True).append("✗ ", "bold red")
    return Text(no_wrap=True).append("* " if changed else "  ", "yellow")
