"""A picture of several curves as rows of styled text. Pure: the same input gives the same rows.

The cost is that of the columns, not of the points: each column asks its series for the extremes
of its stretch.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, field

from workbench.tui.chart import scale
from workbench.tui.chart.canvas import Canvas
from workbench.tui.chart.scale import Range
from workbench.tui.chart.series import Series
from workbench.tui.chart.smooth import smooth

GUTTER = 7  # six characters of a label, and the axis
ROWS_A_TICK = 3
CELLS_A_TICK = 14
CELLS_A_POINT = 3
Run = tuple[str, str]  # characters and the name of their style


@dataclass(frozen=True)
class Line:
    """A curve to draw. `style` is a name; with `smoothing` the curve itself lies dim behind."""

    name: str
    series: Series
    style: str
    smoothing: float = 0.0
    raw_style: str = ""
    dotted: bool = False  # a dot at every point, where there are few


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


@dataclass
class _Column:
    """One column of dots that has points: the first and last value, and the extremes."""

    at: int
    first: float
    last: float
    low: float
    high: float
    joined: bool  # no gap since the column before


def draw(
    lines: list[Line],
    window: Range,
    width: int,
    height: int,
    log_y: bool = False,
    crosshair: float | None = None,
) -> Picture:
    """Draw `lines` within `window` into `width` by `height` cells, axes included."""
    cells, rows = max(1, width - GUTTER), max(1, height - 2)
    layers = [layer for line in lines for layer in _layers(line, window, cells * 2)]
    raw = {line.raw_style for line in lines if line.raw_style}
    layers.sort(key=lambda layer: layer[0] not in raw)  # backgrounds first, else as given
    scaled = [(style, _scaled(columns, log_y)) for style, columns in layers]
    y, clipped = scale.value_range(
        [c.low for _, columns in scaled for c in columns],
        [c.high for _, columns in scaled for c in columns],
    )
    marks = _y_marks(y, rows, log_y)
    behind = frozenset(n for n, (style, _) in enumerate(layers) if style in raw)
    canvas = Canvas(cells, rows, behind)
    for number, (_, columns) in enumerate(scaled):
        _trace(canvas, columns, y, number)
    picture = Picture([], window, y, canvas.width, clipped)
    _count_oddities(picture, lines, window, log_y)
    picture.readings = [_reading(line, crosshair) for line in lines if len(line.series)]
    picture.rows = _rows(picture, canvas, [style for style, _ in scaled], marks)
    _mark_points(picture, lines, y, log_y)
    _mark_gaps(picture, lines)
    if clipped:
        _mark_peaks(picture, scaled, y)
    if crosshair is not None:
        _mark_crosshair(picture, crosshair)
    return picture


def edges(series: Series, window: Range, columns: int) -> list[int]:
    """Indices that cut the series into the columns of dots of the window."""
    width = window.span / columns
    found, at = [], 0
    for number in range(columns + 1):
        at = bisect_left(series.xs, window.low + number * width, at)
        found.append(at)
    found[-1] = bisect_left(series.xs, math.nextafter(window.high, math.inf), found[-1])
    return found


def _layers(line: Line, window: Range, columns: int) -> list[tuple[str, list[_Column]]]:
    """What is drawn for a line, from back to front: the curve, and its average before it."""
    if not len(line.series) or columns < 2:
        return []
    cuts = edges(line.series, window, columns)
    raw = _columns(line.series, cuts, window, columns)
    if line.smoothing <= 0:
        return [(line.style, raw)]
    averages = smooth(line.series, cuts, line.smoothing)
    even = [
        _Column(c.at, value, value, value, value, c.joined)
        for c in raw
        if 0 <= c.at < columns and (value := averages[c.at]) is not None
    ]
    return ([(line.raw_style, raw)] if line.raw_style else []) + [(line.style, even)]


def _columns(series: Series, cuts: list[int], window: Range, columns: int) -> list[_Column]:
    """The columns with points; a point just outside on either side keeps the line going."""
    found: list[_Column] = []
    previous_x = -math.inf
    if 0 < cuts[0] < len(series):
        found.append(_between(series, cuts[0], window.low, -1))
        previous_x = series.xs[cuts[0] - 1]
    for at in range(columns):
        start, end = cuts[at], cuts[at + 1]
        if start == end:
            continue
        low, high = series.extremes(start, end)
        gap = bisect_left(series.gaps, series.xs[start])
        joined = gap == 0 or series.gaps[gap - 1] < previous_x
        found.append(_Column(at, series.ys[start], series.ys[end - 1], low, high, joined))
        previous_x = series.xs[end - 1]
    if 0 < cuts[-1] < len(series):
        after = _between(series, cuts[-1], window.high, columns)
        gap = bisect_left(series.gaps, series.xs[cuts[-1]])
        after.joined = gap == 0 or series.gaps[gap - 1] < previous_x
        found.append(after)
    return found


def _between(series: Series, right: int, x: float, at: int) -> _Column:
    """Where the line from the point before `right` to that point crosses `x`."""
    x0, x1 = series.xs[right - 1], series.xs[right]
    y0, y1 = series.ys[right - 1], series.ys[right]
    y = y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return _Column(at, y, y, y, y, True)


def _scaled(columns: list[_Column], log_y: bool) -> list[_Column]:
    """The columns on the y scale; on a logarithmic one without what is not above zero."""
    if not log_y:
        return columns
    shown = []
    for c in columns:
        if c.high > 0:
            floor = min(value for value in (c.low, c.first, c.last, c.high) if value > 0)
            shown.append(
                _Column(
                    c.at,
                    math.log10(max(c.first, floor)),
                    math.log10(max(c.last, floor)),
                    math.log10(max(c.low, floor)),
                    math.log10(c.high),
                    c.joined,
                )
            )
    return shown


def _trace(canvas: Canvas, columns: list[_Column], y: Range, layer: int) -> None:
    top = canvas.dots_high - 1

    def dot(value: float) -> int:
        return top - round((value - y.low) / y.span * top)

    previous: _Column | None = None
    for column in columns:
        if previous and column.joined:
            canvas.line(previous.at, dot(previous.last), column.at, dot(column.first), layer)
        canvas.column(column.at, dot(column.high), dot(column.low), layer)
        previous = column


def _y_marks(y: Range, rows: int, log_y: bool) -> dict[int, str]:
    """Row and label of each tick of the y axis."""
    wanted = max(2, rows // ROWS_A_TICK)
    found = scale.log_ticks(y, wanted) if log_y else scale.enough_ticks(y, wanted, rows)
    step = found[1] - found[0] if len(found) > 1 else y.span
    marks = {}
    for tick in found:
        row = (rows - 1) - round((tick - y.low) / y.span * (rows - 1))
        marks[row] = scale.label(10**tick, 10**tick) if log_y else scale.label(tick, step)
    return marks


def _rows(
    picture: Picture, canvas: Canvas, styles: list[str], marks: dict[int, str]
) -> list[list[Run]]:
    rows: list[list[Run]] = []
    for number in range(canvas.height):
        mark = marks.get(number, "")
        axis = mark.rjust(GUTTER - 1)[: GUTTER - 1] + ("┤" if mark else "│")
        cells = [(text, styles[layer] if layer >= 0 else "") for text, layer in canvas.row(number)]
        rows.append([(axis, "axis"), *cells])
    return [*rows, *_x_axis(picture)]


def _x_axis(picture: Picture) -> list[list[Run]]:
    found = scale.ticks(picture.x, max(1, picture.cells // CELLS_A_TICK))
    rule, labels = ["─"] * picture.cells, [" "] * (GUTTER + picture.cells)
    taken = -1
    for tick in found:
        column = min(picture.cells - 1, picture.column_at(tick) - GUTTER)
        rule[column] = "┬"
        text = scale.count(tick) if picture.x.span >= 5 else f"{tick:g}"
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


def _mark_peaks(picture: Picture, scaled: list[tuple[str, list[_Column]]], y: Range) -> None:
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
    text = f" {scale.count(round(x))} "
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


def _reading(line: Line, crosshair: float | None) -> Reading:
    """The point nearest to the crosshair, or the last one."""
    series = line.series
    index = len(series) - 1 if crosshair is None else series.nearest(crosshair) or 0
    average = None
    if line.smoothing > 0:
        average = smooth(series, [index, index + 1], line.smoothing)[0]
    return Reading(line.name, line.style, series.xs[index], series.ys[index], average)
