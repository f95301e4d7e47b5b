"""What every pane is: a part of the screen with an id, a title, actions, and three moments.

A pane is made when it is first shown and then kept. It reads the app's watched runs, and changes
nothing on disk but through its actions.
"""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from textual.containers import Vertical

from workbench.tui.actions import Action, bindings
from workbench.tui.widgets.bar import Level

if TYPE_CHECKING:
    from workbench.tui.host import Host
    from workbench.tui.runs.controller import RunController

    class PaneHost(Host, Protocol):
        """The app as its panes see it: they also send requests to runs."""

        steer: RunController


class Pane(Vertical, can_focus=False):
    """Base of the panes. A subclass sets `ID`, `HELP` and `ACTIONS`, and composes its widgets."""

    ID: ClassVar[str] = ""
    HELP: ClassVar[str] = ""
    ACTIONS: ClassVar[tuple[Action, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        cls.BINDINGS = bindings(cls.ACTIONS)
        super().__init_subclass__(**kwargs)

    @property
    def screen_app(self) -> PaneHost:
        """The app, with its watched runs and its status line."""
        return cast("PaneHost", self.app)

    def run_chosen(self) -> None:
        """Another run became the current one (`screen_app.current`); also called on showing."""

    def runs_changed(self, changed: Set[Path]) -> None:
        """A poll brought news of these run folders. Called only while the pane is in view."""

    def ticked(self) -> None:
        """Called at every poll while the pane is in view; costs nothing when nothing is new."""

    def allows(self, name: str) -> bool:
        """Whether the action `name` is valid now; the footer leaves the others out."""
        return True

    def copied(self) -> tuple[str, str]:
        """What `y` copies here: the text, and what it is in words. ("", "") for nothing."""
        return "", ""

    def focus_first(self) -> None:
        """Put the focus where the person most likely wants it."""
        for widget in self.query("*").results():
            if widget.focusable:
                widget.focus(scroll_visible=False)
                return

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.allows(action)

    def say(self, line: str, level: Level = "info") -> None:
        """A line in the status bar."""
        self.screen_app.say(line, level)
