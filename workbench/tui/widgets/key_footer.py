"""The footer: the keys that are valid now, those of the focused pane first."""

from __future__ import annotations

from rich.text import Text
from textual import events
from textual.app import App
from textual.binding import Binding
from textual.screen import Screen

from workbench.tui.keymap import key_name
from workbench.tui.widgets.bar import Bar


class KeyFooter(Bar):
    """`enter Open  s Stop ... ? Help`; a click presses the key, the help has what does not fit."""

    DEFAULT_CSS = "KeyFooter { background: $panel; }"

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id)
        self._places: list[tuple[int, int, str]] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def on_resize(self) -> None:
        self.redraw()

    def redraw(self) -> None:
        """Draw the keys of the focused widget and its surroundings."""
        own, common = self._now_valid()
        tail = _laid_out(common)
        text, self._places = Text(), []
        room = self.size.width - len(tail) - 1
        for binding in own:
            piece = _piece(binding)
            if len(text) + len(piece) > room:
                break
            self._places.append((len(text), len(text) + len(piece), binding.key))
            text.append_text(piece)
        text.append(" " * max(1, self.size.width - len(text) - len(tail)))
        self._remember(len(text), common)
        text.append_text(tail)
        self.show(text)

    def on_click(self, event: events.Click) -> None:
        for start, end, key in self._places:
            if start <= event.x < end:
                self.app.simulate_key(key)

    def _changed(self, screen: Screen[object]) -> None:
        if self.is_attached and screen is self.screen:
            self.call_after_refresh(self.redraw)

    def _now_valid(self) -> tuple[list[Binding], list[Binding]]:
        """Those of panes and widgets, and those of the app; one a kind of action."""
        own: dict[str, Binding] = {}
        common: dict[str, Binding] = {}
        for active in self.screen.active_bindings.values():
            if active.binding.show and active.enabled:
                group = common if isinstance(active.node, App) else own
                group.setdefault(active.binding.action, active.binding)
        return list(own.values()), list(common.values())

    def _remember(self, at: int, bindings: list[Binding]) -> None:
        for binding in bindings:
            end = at + len(_piece(binding))
            self._places.append((at, end, binding.key))
            at = end


def _piece(binding: Binding) -> Text:
    return Text.assemble((f" {key_name(binding.key)}", "bold"), (f" {binding.description} ", ""))


def _laid_out(bindings: list[Binding]) -> Text:
    return Text().join(_piece(binding) for binding in bindings)
