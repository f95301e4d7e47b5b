"""The colours: two of our own, Textual's, plain ANSI for terminals with few, and none at all.

Where `NO_COLOR` is set no colour is written: what a background tells (the cursor, a selection)
is told by reverse video, the rest by bold and dim.
"""

from __future__ import annotations

import os
from functools import lru_cache

from rich.color import ColorType
from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.color import Color
from textual.filter import LineFilter, Monochrome
from textual.theme import Theme


def _scrollbars(background: str, bar: str) -> dict[str, str]:
    """Quiet scrollbars, the same with the mouse over them."""
    grounds = ("scrollbar-background", "scrollbar-background-hover", "scrollbar-background-active")
    bars = ("scrollbar", "scrollbar-hover", "scrollbar-active")
    corner = {"scrollbar-corner-color": background}
    return corner | dict.fromkeys(grounds, background) | dict.fromkeys(bars, bar)


DARK = Theme(
    name="workbench-dark",
    primary="#4f9dde",
    secondary="#7fc8a9",
    accent="#e5b567",
    warning="#e5b567",
    error="#e06c75",
    success="#7fc8a9",
    foreground="#d7dae0",
    background="#16181d",
    surface="#1d2026",
    panel="#272b33",
    dark=True,
    variables=_scrollbars("#1d2026", "#474e5c"),
)
LIGHT = Theme(
    name="workbench-light",
    primary="#1f6fb2",
    secondary="#1f7a56",
    accent="#9a6700",
    warning="#9a6700",
    error="#b3261e",
    success="#1f7a56",
    foreground="#1f2328",
    background="#fbfbfa",
    surface="#f1f1ee",
    panel="#e4e4df",
    dark=False,
    variables=_scrollbars("#f1f1ee", "#b9b9b0"),
)
FEW_COLOURS = ("linux", "screen", "ansi", "vt100", "vt220", "xterm")
PLAIN = "ansi-dark"


class NoColours(LineFilter):
    """Leaves the attributes alone; Textual's own filter would make black on black of defaults."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            Segment(text, None if style is None else _uncoloured(style), control)
            for text, style, control in segments
        ]


@lru_cache(1024)
def _uncoloured(style: Style) -> Style:
    ground = style.bgcolor
    told = ground is not None and ground.type == ColorType.STANDARD and not style.reverse
    return Style(reverse=True) + style.without_color if told else style.without_color


def choose(app: App[None], wished: str) -> str:
    """Register our themes; the wished one if there is such, else what the terminal can show."""
    for theme in (DARK, LIGHT):
        app.register_theme(theme)
    if app.no_color:
        kept = [one for one in app._filters if not isinstance(one, Monochrome)]
        app._filters = [*kept, NoColours()]
        return PLAIN
    if wished in app.available_themes:
        return wished
    few = os.environ.get("TERM", "") in FEW_COLOURS and not os.environ.get("COLORTERM")
    return PLAIN if few else DARK.name
