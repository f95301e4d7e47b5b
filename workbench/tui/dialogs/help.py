"""The keys of the focused pane and of everything, from the registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from workbench.tui.actions import EVERYWHERE, IN_LISTS, Action
from workbench.tui.dialogs.dialog import Dialog
from workbench.tui.keymap import keys_of
from workbench.tui.pane_list import PANES

KEYS_WIDTH = 14


class Help(Dialog[None]):
    """Purpose and keys of one pane, then the keys that are valid everywhere."""

    BINDINGS: ClassVar[list[BindingType]] = [("q,question_mark,f1", "leave", "Close")]
    DEFAULT_CSS = "Help VerticalScroll { height: auto; max-height: 100%; }"

    def __init__(
        self, title: str, about: str, actions: Sequence[Action], keymap: Mapping[str, str]
    ) -> None:
        super().__init__()
        self._title, self._about = title, about
        self._actions, self._keymap = actions, keymap

    def compose(self) -> ComposeResult:
        with Vertical(), VerticalScroll():
            yield Static(self.text(), markup=False)

    def text(self) -> Text:
        """All of the help, as it is shown."""
        text = Text()
        text.append(f"{self._title}\n", "bold")
        text.append(f"{self._about}\n")
        self._add(text, f"Keys in {self._title}", self._actions)
        numbers = "  ".join(f"{spec.key} {spec.title}" for spec in PANES)
        self._add(text, f"Everywhere ({numbers})", EVERYWHERE)
        self._add(text, "In lists", IN_LISTS)
        text.append("\nMouse: click a tab, a row or a footer key; scroll with the wheel.")
        text.append("\nEsc closes this help.", "dim")
        return text

    def _add(self, text: Text, title: str, actions: Sequence[Action]) -> None:
        if actions:
            text.append(f"\n{title}\n", "bold")
        for action in actions:
            keys = " ".join(keys_of(action, self._keymap))
            text.append(f"  {keys:{KEYS_WIDTH}}", "bold")
            text.append(f" {action.help}\n")
