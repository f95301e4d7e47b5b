"""The chart widget: lines, a window on them that can be zoomed and panned, a crosshair.

Only the rows of the screen whose text has changed are written anew. `redraw` may be called at
every poll: nothing happens while the series stand still.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip

from workbench.core.text import one_line
from workbench.tui.chart import axes
from workbench.tui.chart.axes import View
from workbench.tui.chart.columns import Line
from workbench.tui.chart.plot import BRAILLE, GUTTER, Picture, draw
from workbench.tui.styled_text import CachedStyle

STYLES = ("train", "raw", "validation", "rate", "norm", "speed", "pin-1", "pin-2", "pin-3")
NO_RUNS: list[tuple[str, str]] = []


class Chart(CachedStyle, can_focus=True):
    """Give it `lines` and call `redraw`; its keys are actions of the pane it stands in."""

    COMPONENT_CLASSES = {
        f"chart--{name}" for name in (*STYLES, "axis", "crosshair", "nan", "title")
    }
    DEFAULT_CSS = """
    Chart { height: 1fr; width: 1fr; }
    Chart > .chart--train { color: $primary; text-style: bold; }
    Chart > .chart--raw { color: $primary 45%; }
    Chart:ansi > .chart--raw { text-style: dim; }
    Chart > .chart--validation { color: $warning; text-style: bold; }
    Chart > .chart--rate { color: $success; }
    Chart > .chart--norm { color: $accent; }
    Chart > .chart--speed { color: $secondary; }
    Chart > .chart--pin-1 { color: $success; }
    Chart > .chart--pin-2 { color: $error 80%; }
    Chart > .chart--pin-3 { color: $text-muted; }
    Chart > .chart--axis { color: $text-muted; }
    Chart > .chart--title { color: $foreground; text-style: bold; }
    Chart > .chart--crosshair { color: $accent; text-style: bold; }
    Chart > .chart--nan { color: $error; text-style: bold; }
    """
    ALLOW_SELECT = False

    class Looked(Message):
        """The window or the crosshair was moved with the mouse."""

    def __init__(self, title: str = "", id: str | None = None, empty: str = "no data yet") -> None:
        super().__init__(id=id)
        self.heading, self.empty = title, empty
        self.lines: Callable[[], Sequence[Line]] = lambda: ()
        self.planned_end = 0.0
        self.view = View()
        self.log_y = False
        self.glyphs = BRAILLE
        self.picture: Picture | None = None
        self.drawn = 0  # pictures computed so far
        self._key: object = None
        self._strips: list[Strip] = []
        self._styles: dict[str, Style] = {}
        self._dragged_from: int | None = None

    def redraw(self) -> None:
        """Compute the picture if anything it depends on has changed; write the rows that differ."""
        lines = list(self.lines())
        width, height = self.size
        series = tuple((id(line.series), line.series.version, line) for line in lines)
        look = (self.view.key, self.log_y, self.planned_end, self.heading, self.glyphs)
        key = (width, height, series, look)
        if key == self._key or width <= GUTTER + 4 or height < 4:
            return
        self._key = key
        self.drawn += 1
        self.view.bound([line.series for line in lines], self.planned_end)
        self._show(self._rows(lines, width, height))

    def forget_picture(self) -> None:
        """Draw anew at the next `redraw`: the colours have changed."""
        self._key = None

    def render_line(self, y: int) -> Strip:
        blank = Strip.blank(self.size.width, self.own_style)
        return self._strips[y] if y < len(self._strips) else blank

    def on_resize(self) -> None:
        self.redraw()

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda theme: self._recolour())

    def notify_style_update(self) -> None:
        self._styles = {}
        super().notify_style_update()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._zoom_at(event.x, 0.5)
        event.stop()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._zoom_at(event.x, 2.0)
        event.stop()

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self._dragged_from = event.x
        self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._dragged_from is None or self.picture is None or event.x == self._dragged_from:
            return
        share = (self._dragged_from - event.x) / max(1, self.picture.cells)
        self.view.pan(share)
        self._dragged_from = event.x
        self._looked()

    def on_mouse_up(self, event: events.MouseUp) -> None:
        self.release_mouse()
        self._dragged_from = None

    def on_click(self, event: events.Click) -> None:
        if self.picture and event.x >= GUTTER:
            self.view.crosshair = self.picture.x_at(event.x)
            self._looked()

    def move_crosshair(self, cells: int) -> None:
        """One cell to the side; puts it in the middle when there is none."""
        if self.picture is None:
            return
        view, x = self.view, self.picture.x
        step = x.span / max(1, self.picture.cells)
        if view.crosshair is None:
            view.crosshair = x.low + x.span / 2
        else:
            view.crosshair = min(x.high, max(x.low, view.crosshair + cells * step))

    def _zoom_at(self, column: int, factor: float) -> None:
        if self.picture:
            self.view.zoom(factor, self.picture.x_at(column))
            self._looked()

    def _looked(self) -> None:
        self.redraw()
        self.post_message(self.Looked())

    def _recolour(self) -> None:
        self.forget_picture()
        self.redraw()

    def _rows(self, lines: list[Line], width: int, height: int) -> list[Strip]:
        if not any(len(line.series) or line.series.gaps for line in lines):
            self.picture = None
            return self._empty(width, height)
        view = self.view
        size = (width, height - 1)
        picture = draw(lines, view.window, *size, self.log_y, view.crosshair, self.glyphs)
        self.picture = picture
        styles = self._named_styles()
        legend = [(text, styles[name]) for text, name in self._legend(picture, width)]
        rows = [legend] + [[(text, styles[name]) for text, name in row] for row in picture.rows]
        return [self._strip(row, width) for row in rows]

    def _legend(self, picture: Picture, width: int) -> list[tuple[str, str]]:
        """Title, the lines with their values, what is special; whole parts, as many as fit."""
        parts: list[list[tuple[str, str]]] = []
        for reading in sorted(picture.readings, key=lambda one: one.style.startswith("pin")):
            shown = axes.figure(reading.raw)
            if reading.smoothed is not None:
                shown = f"{axes.figure(reading.smoothed)} ({shown})"
            name = one_line(reading.name, 24)
            parts.append([(f"━ {name} ", reading.style), (f"{shown}  ", "")])
        if picture.gaps:
            parts.append([(f"✗ {picture.gaps} NaN  ", "nan")])
        marks = [
            ("log", self.log_y),
            ("▲ peaks clipped", picture.clipped),
            ("zoomed", self.view.fixed),
        ]
        said = "  ".join(mark for mark, on in marks if on)
        if picture.hidden:
            said += "  values at or below 0 not shown"
        title = (f" {self.heading}  " if self.heading else " ", "title")
        return [title, *_fitting([*parts, [(said, "axis")]], width - len(title[0]))]

    def _empty(self, width: int, height: int) -> list[Strip]:
        styles = self._named_styles()
        rows: list[list[tuple[str, Style]]] = [[] for _ in range(height)]
        rows[0] = [(f" {self.heading}", styles["title"])]
        rows[height // 2] = [(self.empty.center(width), styles["axis"])]
        return [self._strip(row, width) for row in rows]

    def _named_styles(self) -> dict[str, Style]:
        if not self._styles:
            names = (*STYLES, "axis", "crosshair", "nan", "title")
            parts = {name: self.get_component_rich_style(f"chart--{name}") for name in names}
            self._styles = parts | {"": self.own_style}
        return self._styles

    def _strip(self, row: Sequence[tuple[str, Style]], width: int) -> Strip:
        segments = [Segment(text, style) for text, style in row if text]
        return Strip(segments).adjust_cell_length(width, self.own_style)

    def _show(self, strips: list[Strip]) -> None:
        old, self._strips = self._strips, strips
        if len(old) != len(strips):
            self.refresh()
            return
        for y, (before, after) in enumerate(zip(old, strips, strict=True)):
            if before != after:
                self.refresh(Region(0, y, self.size.width, 1))


def _fitting(parts: Sequence[list[tuple[str, str]]], width: int) -> list[tuple[str, str]]:
    """The parts, each whole, that fit into the width; their order is their rank."""
    kept: list[tuple[str, str]] = []
    used = 0
    for part in parts:
        text = "".join(text for text, _ in part)
        if used + len(text.rstrip()) <= width:
            kept += part
            used += len(text)
    return kept
