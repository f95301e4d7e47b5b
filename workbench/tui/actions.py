"""One record an action: it makes the key binding, the footer, the palette, the help and the docs.

An action's id is `pane.name`; the method `action_name` of that pane carries it out. `app` stands
for what is valid everywhere, `list` for moving in any list. Keys work in every terminal: no
chord that a multiplexer takes, none that older terminals cannot send.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True)
class Action:
    """`keys` are Textual's names, the first one is shown: `"r"`, `"delete,d"`."""

    id: str
    keys: str
    title: str
    help: str
    footer: bool = True
    palette: bool = True

    @property
    def pane(self) -> str:
        """The part of the id before the dot: where the action applies."""
        return self.id.partition(".")[0]

    @property
    def name(self) -> str:
        """The part after the dot: the method is `action_<name>`."""
        return self.id.partition(".")[2]

    def binding(self) -> Binding:
        """The key binding; its id is the action's, so a keymap can give it other keys."""
        return Binding(
            self.keys, self.name, self.title, show=self.footer, tooltip=self.help, id=self.id
        )


def bindings(actions: Iterable[Action]) -> list[BindingType]:
    """What Textual wants as `BINDINGS`."""
    return [action.binding() for action in actions]


EVERYWHERE = (
    Action("app.help", "question_mark,f1", "Help", "Show the focused pane's purpose and keys."),
    Action(
        "app.command_palette",
        "ctrl+p,colon",
        "Commands",
        "Search and run any action.",
        palette=False,
    ),
    Action("app.quit", "q,ctrl+q", "Quit", "Quit the terminal UI; runs keep running."),
    Action("app.zoom", "z", "Zoom", "Maximize the focused pane, or restore it.", False),
    Action("app.change_theme", "ctrl+t", "Theme", "Choose a color theme.", False),
    Action("app.copy", "y", "Copy", "Copy the focused pane's content.", False),
    Action("app.messages", "M", "Messages", "Show all status messages and commands.", False),
    Action("app.debug", "f12", "Debug", "Show versions and settings for a bug report.", False),
    Action("app.how_to_leave", "ctrl+c", "Quit?", "Show how to quit.", False, False),
    Action("app.picture", "f9", "Screenshot", "Save a screenshot as an SVG file.", False),
)

IN_LISTS = (
    Action("list.cursor_up", "up,k", "Up", "Move up one row.", False, False),
    Action("list.cursor_down", "down,j", "Down", "Move down one row.", False, False),
    Action("list.page_up", "pageup", "Page up", "Move up one page.", False, False),
    Action("list.page_down", "pagedown,space", "Page down", "Move down one page.", False, False),
    Action("list.first", "home,g", "First", "Go to the first row.", False, False),
    Action("list.last", "end,G", "Last", "Go to the last row.", False, False),
)
