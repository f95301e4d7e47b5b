"""The chart as a picture for a report: the same curves in the same window, as SVG on white.

Pure: the same input gives the same text. As in the terminal the cost is that of the columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from workbench.core.text import one_line, visible
from workbench.tui.chart import axes
from workbench.tui.chart.axes import Range
from workbench.tui.chart.columns import Column, Layer, Line, layers
from workbench.tui.chart.plot import reading

WIDTH, HEIGHT = 960, 540
LEFT, TOP, RIGHT, BOTTOM = 72, 64, 24, 52
ROWS = 24  # text lines that the value axis has room for
CELLS_A_TICK = 120
COLOURS = {
    "train": "#1f6fb2",
    "raw": "#b5cfe6",
    "validation": "#c77700",
    "general": "#7a5195",
    "rate": "#1f7a56",
    "norm": "#8a5a00",
    "speed": "#1f7a56",
    "pin-1": "#2a9d66",
    "pin-2": "#c0504d",
    "pin-3": "#7f7f7f",
}
INK, FAINT, RED = "#1f2328", "#d8d8d4", "#b3261e"


def picture(
    lines: Sequence[Line], window: Range, title: str, quantity: str, log_y: bool = False
) -> str:
    """The SVG: axes, curves, a legend with the last values, a red cross at each NaN."""
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    found = layers(lines, window, wide, log_y)
    columns = [column for _, part in found for column in part]
    y, clipped = axes.value_range([c.low for c in columns], [c.high for c in columns])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, 24, title, 'font-size="16" font-weight="bold"'),
        *_legend(lines, "log scale" * log_y, "highest peaks clipped" * clipped),
        *_axes(window, y, wide, high, quantity, log_y),
        f'<clipPath id="c"><rect x="{LEFT}" y="{TOP}" width="{wide}" height="{high}"/></clipPath>',
        '<g clip-path="url(#c)" fill="none" stroke-width="1.6" stroke-linejoin="round">',
        *(_path(layer, y, high) for layer in found),
        "</g>",
        *_gaps(lines, window, wide),
    ]
    return "\n".join([*parts, "</svg>", ""])


def _path(layer: Layer, y: Range, high: int) -> str:
    style, columns = layer

    def place(value: float) -> str:
        return f"{TOP + (y.high - value) / y.span * high:.1f}"

    steps: list[str] = []
    for column in columns:
        x = f"{LEFT + column.at + 0.5:.1f}"
        start = "L" if steps and column.joined else "M"
        values = _values(column)
        steps.append(f"{start}{x} {place(values[0])}")
        steps += [f"L{x} {place(value)}" for value in values[1:]]
    return f'<path stroke="{COLOURS.get(style, INK)}" d="{" ".join(steps)}"/>'


def _values(column: Column) -> list[float]:
    """The values in a column that a line has to touch, in order."""
    if column.low == column.high:
        return [column.first]
    return [column.first, column.high, column.low, column.last]


def _axes(x: Range, y: Range, wide: int, high: int, quantity: str, log_y: bool) -> list[str]:
    parts = []
    for value, label in axes.marks(y, ROWS // 3, ROWS, log_y):
        at = TOP + (y.high - value) / y.span * high
        parts.append(_line(LEFT, at, LEFT + wide, at, FAINT))
        parts.append(_text(LEFT - 8, at + 4, label, 'text-anchor="end"'))
    for step in axes.ticks(x, wide // CELLS_A_TICK):
        at = LEFT + (step - x.low) / x.span * wide
        parts.append(_line(at, TOP + high, at, TOP + high + 5, INK))
        text = axes.count(step) if x.span >= 5 else f"{step:g}"
        parts.append(_text(at, TOP + high + 20, text, 'text-anchor="middle"'))
    parts.append(_line(LEFT, TOP + high, LEFT + wide, TOP + high, INK))
    parts.append(_line(LEFT, TOP, LEFT, TOP + high, INK))
    parts.append(_text(LEFT + wide / 2, HEIGHT - 10, "optimizer step", 'text-anchor="middle"'))
    turned = f'text-anchor="middle" transform="rotate(-90 16 {TOP + high / 2:.1f})"'
    return [*parts, _text(16, TOP + high / 2, quantity, turned)]


def _legend(lines: Sequence[Line], *remarks: str) -> list[str]:
    parts, at = [], float(LEFT)
    for line in lines:
        if len(line.series):
            last = reading(line)
            value = last.raw if last.smoothed is None else last.smoothed
            words = f"{one_line(line.name, 40)} {axes.figure(value)}"
            parts.append(_line(at, 44, at + 18, 44, COLOURS.get(line.style, INK), 3))
            parts.append(_text(at + 24, 48, words))
            at += 44 + 7.2 * len(words)
    said = ", ".join(remark for remark in remarks if remark)
    return [*parts, _text(WIDTH - RIGHT, 24, said, 'text-anchor="end"')]


def _gaps(lines: Sequence[Line], window: Range, wide: int) -> list[str]:
    """A cross above every column of the picture that has points which were no numbers."""
    inside = {
        math.floor((x - window.low) / window.span * (wide - 1))
        for line in lines
        for x in line.series.gaps
        if window.low <= x <= window.high
    }
    centred = f'fill="{RED}" text-anchor="middle"'
    return [_text(LEFT + at + 0.5, TOP - 2, "✗", centred) for at in sorted(inside)]


def _line(x0: float, y0: float, x1: float, y1: float, colour: str, thick: float = 1) -> str:
    ends = f'x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{thick:g}"/>'


def _text(x: float, y: float, words: str, attributes: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{escape(visible(words))}</text>'
