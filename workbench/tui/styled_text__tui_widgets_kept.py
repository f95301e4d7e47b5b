"""A widget's own style, looked up once: Textual gathers it from all ancestors at every access."""

from __future__ import annotations

from rich.style import Style
from textual.widget import Widget


class KeptStyle(Widget):
    """Base of the widgets that make their lines themselves and need the style for every line."""

    _own_style: Style | None = None

    @property
    def own_style(self) -> Style:
        """As `rich_style`."""
        if self._own_style is None:
            self._own_style = self.rich_style
        return self._own_style

    def notify_style_update(self) -> None:
        self._own_style = None
        super().notify_style_update()
