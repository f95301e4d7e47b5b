"""What panes, dialogs and controllers use of the app; they know this and never the app itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

from textual.screen import Screen

from workbench.run.folder import RunFolder
from workbench.tui.actions import Action
from workbench.tui.runs.follower import RunFollower
from workbench.tui.runs.watcher import RunWatcher
from workbench.tui.saved_state import SavedState
from workbench.tui.widgets.bar import Level


class Host(Protocol):
    """The app as its parts see it.

    `current` is the run that the panes show, `pinned` runs are drawn beside it. Files that belong
    to the screen lie in `state_folder`.
    """

    state_folder: Path
    memory: SavedState
    watching: RunWatcher
    current: RunFolder | None
    pinned: list[RunFolder]
    own_keys: dict[str, str]
    pane_id: str
    zoomed: bool

    def say(self, line: str, level: Level = "info") -> None:
        """A line in the status bar."""

    def say_command(self, *words: str) -> None:
        """The command line that does what was just done, quoted for a shell."""

    def say_error(self, error: Exception) -> None:
        """One line for an error; an internal one leaves its traceback in a file."""

    def guarded(self, work: Callable[[], object]) -> None:
        """Do `work`; an error becomes a line in the status bar."""

    def in_background(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Run `work` in a thread; give its result to `then`, or its error to the status bar."""

    def push_screen(
        self, screen: Screen[Any], callback: Callable[[Any], None] | None = None
    ) -> object:
        """Open a dialog; `callback` gets its result."""

    def copy(self, text: str, what: str) -> None:
        """Put `text` into the clipboard; say in which way, and where it is besides."""

    def followed(self, run: RunFolder) -> RunFollower:
        """State and curves of a run."""

    def choose(self, run: RunFolder | None) -> None:
        """Make a run the current one."""

    def current_changed(self) -> None:
        """Tell the panes in view: another run is current, or others are pinned."""

    def forget(self, run: RunFolder) -> None:
        """The run's folder is gone or has another name."""

    def poll(self) -> None:
        """Read all watched logs in one go, and tell the panes in view what changed."""

    def pane_ids_in_view(self) -> list[str]:
        """Ids of the panes that can be seen at the moment."""

    def go(self, pane_id: str) -> Awaitable[object]:
        """Show a pane and give it the focus."""

    def invoke(self, action: Action) -> Awaitable[None]:
        """Run an action in its pane, which is shown first."""
