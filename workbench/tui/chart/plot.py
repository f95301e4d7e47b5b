"""A picture of several curves as rows of styled text. Pure: the same input gives the same rows.

The cost is that of the columns, not of the points: each column asks its series for the extremes of
its range. A cell holds 2 by 4 braille dots, or half blocks if the font lacks braille; `glyphs` has
the character of each pattern of eight dots.

A terminal has one color per cell: a line drawn later gives the cell its color and clears the dots
of a background below it, so that a curve's average stands out from the curve.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, field

from workbench.tui.chart import axes
from workbench.tui.chart.axes import Range
from workbench.tui.chart.columns import Column, Line, layers, smooth

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
BRAILLE = " " + "".join(chr(0x2800 + bits) for bits in range(1, 256))
UPPER, LOWER = 0x1B, 0xE4  # the dots of the upper and of the lower half
BLOCKS = "".join(" ▀▄█"[bool(bits & UPPER) + 2 * bool(bits & LOWER)] for bits in range(256))
WITHOUT_BRAILLE = ("linux", "vt100", "vt220")  # the fonts of a console


def glyphs_for(marks: str, term: str) -> str:
    """The characters for `marks` ("dots" or "blocks"), or what a terminal of that kind can show."""
    if not marks:
        return BLOCKS if term in WITHOUT_BRAILLE else BRAILLE
    return BLOCKS if marks == "blocks" else BRAILLE


class Canvas:
    """`width` by `height` cells; dots have (0, 0) at the top left."""

    def __init__(self, width: int, height: int, backgrounds: frozenset[int] = frozenset()) -> None:
        self.width, self.height = width, height
        self._backgrounds = backgrounds
        self.dots_wide, self.dots_high = width * 2, height * 4
        self._bits = [[0] * width for _ in range(height)]
        self._layers = [[-1] * width for _ in range(height)]

    def column(self, x: int, top: int, bottom: int, layer: int) -> None:
        """Set the dots from `top` to `bottom` of one column of dots; outside is cut off."""
        if not 0 <= x < self.dots_wide:
            return
        cell, side = x >> 1, x & 1
        for y in range(max(0, top), min(self.dots_high - 1, bottom) + 1):
            row = y >> 2
            below = self._layers[row][cell]
            if below != layer:
                if below in self._backgrounds:
                    self._bits[row][cell] = 0
                self._layers[row][cell] = layer
            self._bits[row][cell] |= DOTS[y & 3][side]

    def line(self, x0: int, y0: int, x1: int, y1: int, layer: int) -> None:
        """A straight line between two dots, `x0 <= x1`, without its first column of dots."""
        wide = x1 - x0
        previous = y0
        for step in range(1, wide + 1):
            y = y0 + round((y1 - y0) * step / wide)
            self.column(x0 + step, min(previous, y), max(previous, y), layer)
            previous = y

    def row(self, y: int, glyphs: str = BRAILLE) -> list[tuple[str, int]]:
        """A row of cells as runs of the same layer: `(characters, layer)`, -1 where it is empty."""
        runs: list[tuple[str, int]] = []
        text, current = "", -1
        for bits, layer in zip(self._bits[y], self._layers[y], strict=True):
            if layer != current and text:
                runs.append((text, current))
                text = ""
            current = layer
            text += glyphs[bits]
        return [*runs, (text, current)] if text else runs


GUTTER = 7  # six characters of a label, and the axis
ROWS_A_TICK = 3
CELLS_A_TICK = 14
CELLS_A_POINT = 3
Run = tuple[str, str]  # characters and the name of their style


@dataclass(frozen=True)
class Reading:
    """The values under the crosshair, or the last ones: `x` of the point, raw and smoothed."""

    name: str
    style: str
    x: float
    raw: float
    smoothed: float | None


@dataclass
class Picture:
    """The rows below the legend, what they span, and how a column of cells maps to x."""

    rows: list[list[Run]]
    x: Range
    y: Range
    cells: int
    clipped: bool = False
    hidden: int = 0  # points that a logarithmic scale cannot show
    gaps: int = 0
    readings: list[Reading] = field(default_factory=list)

    def x_at(self, column: int) -> float:
        """The x under a column of the widget."""
        return self.x.low + (column - GUTTER + 0.5) / max(1, self.cells) * self.x.span

    def column_at(self, x: float) -> int:
        """The column of the widget over x."""
        return GUTTER + math.floor((x - self.x.low) / self.x.span * self.cells)


def draw(
    lines: list[Line],
    window: Range,
    width: int,
    height: int,
    log_y: bool = False,
    crosshair: float | None = None,
    glyphs: str = BRAILLE,
) -> Picture:
    """Draw `lines` within `window` into `width` by `height` cells, axes included."""
    cells, rows = max(1, width - GUTTER), max(1, height - 2)
    scaled = layers(lines, window, cells * 2, log_y)
    y, clipped = axes.value_range(
        [c.low for _, columns in scaled for c in columns],
        [c.high for _, columns in scaled for c in columns],
    )
    marks = _y_marks(y, rows, log_y)
    raw = {line.raw_style for line in lines if line.raw_style}
    behind = frozenset(n for n, (style, _) in enumerate(scaled) if style in raw)
    canvas = Canvas(cells, rows, behind)
    for number, (_, columns) in enumerate(scaled):
        _trace(canvas, columns, y, number)
    picture = Picture([], window, y, canvas.width, clipped)
    _count_oddities(picture, lines, window, log_y)
    picture.readings = [reading(line, crosshair) for line in lines if len(line.series)]
    picture.rows = _rows(picture, canvas, glyphs, [style for style, _ in scaled], marks)
    _mark_points(picture, lines, y, log_y)
    _mark_gaps(picture, lines)
    if clipped:
        _mark_peaks(picture, scaled, y)
    if crosshair is not None:
        _mark_crosshair(picture, crosshair)
    return picture


def _trace(canvas: Canvas, columns: list[Column], y: Range, layer: int) -> None:
    top = canvas.dots_high - 1

    def dot(value: float) -> int:
        return top - round((value - y.low) / y.span * top)

    previous: Column | None = None
    for column in columns:
        if previous and column.joined:
            canvas.line(previous.at, dot(previous.last), column.at, dot(column.first), layer)
        canvas.column(column.at, dot(column.high), dot(column.low), layer)
        previous = column


def _y_marks(y: Range, rows: int, log_y: bool) -> dict[int, str]:
    """Row and label of each tick of the y axis."""
    marks = axes.marks(y, max(2, rows // ROWS_A_TICK), rows, log_y)
    return {(rows - 1) - round((tick - y.low) / y.span * (rows - 1)): text for tick, text in marks}


def _rows(
    picture: Picture, canvas: Canvas, glyphs: str, styles: list[str], marks: dict[int, str]
) -> list[list[Run]]:
    rows: list[list[Run]] = []
    for number in range(canvas.height):
        mark = marks.get(number, "")
        axis = mark.rjust(GUTTER - 1)[: GUTTER - 1] + ("┤" if mark else "│")
        cells = [
            (text, styles[layer] if layer >= 0 else "")
            for text, layer in canvas.row(number, glyphs)
        ]
        rows.append([(axis, "axis"), *cells])
    return [*rows, *_x_axis(picture)]


def _x_axis(picture: Picture) -> list[list[Run]]:
    found = axes.ticks(picture.x, max(1, picture.cells // CELLS_A_TICK))
    rule, labels = ["─"] * picture.cells, [" "] * (GUTTER + picture.cells)
    taken = -1
    for tick in found:
        column = min(picture.cells - 1, picture.column_at(tick) - GUTTER)
        rule[column] = "┬"
        text = axes.count(tick) if picture.x.span >= 5 else f"{tick:g}"
        start = min(len(labels) - len(text), max(0, GUTTER + column - len(text) // 2))
        if start > taken:
            labels[start : start + len(text)] = text
            taken = start + len(text)
    return [
        [(" " * (GUTTER - 1) + "└" + "".join(rule), "axis")],
        [("".join(labels), "axis")],
    ]


def _mark_points(picture: Picture, lines: list[Line], y: Range, log_y: bool) -> None:
    for line in lines:
        start, end = line.series.between(picture.x.low, picture.x.high + 1e-9)
        if not line.dotted or (end - start) * CELLS_A_POINT > picture.cells:
            continue
        for x, value in zip(line.series.xs[start:end], line.series.ys[start:end], strict=True):
            place = math.log10(value) if log_y and value > 0 else value
            row = round((y.high - place) / y.span * (len(picture.rows) - 2) - 0.5)
            column = min(GUTTER + picture.cells - 1, picture.column_at(x))
            if 0 <= row < len(picture.rows) - 2:
                _put(picture, row, column, "●", line.style)


def _mark_gaps(picture: Picture, lines: list[Line]) -> None:
    """A red cross at the top over every point that was no number."""
    for line in lines:
        start = bisect_left(line.series.gaps, picture.x.low)
        for x in line.series.gaps[start : start + 1000]:
            if x > picture.x.high:
                break
            _put(picture, 0, picture.column_at(x), "✗", "nan")


def _mark_peaks(picture: Picture, scaled: list[tuple[str, list[Column]]], y: Range) -> None:
    for style, columns in scaled:
        for column in columns:
            if column.high > y.high:
                _put(picture, 0, GUTTER + column.at // 2, "▲", style)


def _mark_crosshair(picture: Picture, x: float) -> None:
    column = picture.column_at(x)
    if not GUTTER <= column < GUTTER + picture.cells:
        return
    for number, row in enumerate(picture.rows[:-2]):
        if _character(row, column) == " ":
            _put(picture, number, column, "┊", "crosshair")
    _put(picture, len(picture.rows) - 2, column, "┴", "crosshair")
    text = f" {axes.count(round(x))} "
    start = max(0, min(GUTTER + picture.cells - len(text), column - len(text) // 2))
    for offset, character in enumerate(text):
        _put(picture, len(picture.rows) - 1, start + offset, character, "crosshair")


def _put(picture: Picture, row: int, column: int, character: str, style: str) -> None:
    """Replace one cell of a row."""
    runs: list[Run] = []
    at = 0
    for text, name in picture.rows[row]:
        inside = column - at
        if 0 <= inside < len(text):
            parts = [(text[:inside], name), (character, style), (text[inside + 1 :], name)]
            runs += [part for part in parts if part[0]]
        else:
            runs.append((text, name))
        at += len(text)
    picture.rows[row] = runs


def _character(row: list[Run], column: int) -> str:
    return "".join(text for text, _ in row)[column : column + 1]


def _count_oddities(picture: Picture, lines: list[Line], window: Range, log_y: bool) -> None:
    for line in lines:
        start = bisect_left(line.series.gaps, window.low)
        picture.gaps += bisect_left(line.series.gaps, window.high + 0.5) - start
        if log_y:
            begin, end = line.series.between(window.low, window.high)
            low, _ = line.series.extremes(begin, end)
            picture.hidden += low <= 0


def reading(line: Line, crosshair: float | None = None) -> Reading:
    """The point nearest to the crosshair, or the last one."""
    series = line.series
    index = len(series) - 1 if crosshair is None else series.nearest(crosshair) or 0
    average = None
    if line.smoothing > 0:
        average = smooth(series, [index, index + 1], line.smoothing)[0]
    return Reading(line.name, line.style, series.xs[index], series.ys[index], average)
