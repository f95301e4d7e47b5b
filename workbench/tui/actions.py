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
    Action("app.help", "question_mark,f1", "Help", "Keys and purpose of the focused pane."),
    Action(
        "app.command_palette",
        "ctrl+p,colon",
        "Commands",
        "Find and run any action by its name.",
        palette=False,
    ),
    Action("app.quit", "q,ctrl+q", "Quit", "Leave the screen; runs at work go on."),
    Action("app.zoom", "z", "Zoom", "Give the focused pane the whole screen, or back.", False),
    Action("app.change_theme", "ctrl+t", "Theme", "Choose the colours.", False),
    Action("app.copy", "y", "Copy", "Copy what the focused pane offers.", False),
    Action("app.messages", "M", "Messages", "All that was said and done, to read and copy.", False),
    Action("app.debug", "f12", "Debug", "Versions and figures to paste into an issue.", False),
    Action("app.how_to_leave", "ctrl+c", "Leave?", "Say how to leave.", False, False),
    Action("app.picture", "f9", "Screenshot", "Save the screen as an SVG file.", False),
)

IN_LISTS = (
    Action("list.cursor_up", "up,k", "Up", "One row up.", False, False),
    Action("list.cursor_down", "down,j", "Down", "One row down.", False, False),
    Action("list.page_up", "pageup", "Page up", "One page up.", False, False),
    Action("list.page_down", "pagedown,space", "Page down", "One page down.", False, False),
    Action("list.first", "home,g", "First", "To the first row.", False, False),
    Action("list.last", "end,G", "Last", "To the last row.", False, False),
)
