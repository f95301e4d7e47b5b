"""The picture, by what stands in its cells."""

from __future__ import annotations

import math

import pytest

from tests.tui.chart.test_series import filled
from workbench.tui.chart.axes import Range
from workbench.tui.chart.columns import Line, edges
from workbench.tui.chart.plot import BLOCKS, BRAILLE, GUTTER, Picture, draw, glyphs_for
from workbench.tui.chart.series import Series

WIDTH, HEIGHT = 60, 12
ROWS = HEIGHT - 2


def lines_of(picture: Picture) -> list[str]:
    return ["".join(text for text, _ in row) for row in picture.rows]


def inked(picture: Picture, style: str) -> set[tuple[int, int]]:
    """Row and column of the cells that have a style."""
    found = set()
    for number, row in enumerate(picture.rows):
        at = 0
        for text, name in row:
            found |= {(number, at + n) for n, c in enumerate(text) if name == style and c != " "}
            at += len(text)
    return found


def test_every_row_is_as_wide_as_asked() -> None:
    picture = draw([Line("a", filled([3.0, 1.0, 2.0]), "train")], Range(0, 2), WIDTH, HEIGHT)
    assert [len(line) for line in lines_of(picture)] == [WIDTH] * HEIGHT


def test_extremes_stand_at_the_top_and_the_bottom() -> None:
    values = [1.0 + n % 2 for n in range(1000)]
    values[500], values[250] = 3.0, 0.0
    picture = draw([Line("a", filled(values), "train")], Range(0, 999), WIDTH, HEIGHT)
    cells = inked(picture, "train")
    high = {column for row, column in cells if row == 0}
    low = {column for row, column in cells if row == ROWS - 1}
    middle = GUTTER + (WIDTH - GUTTER) * 500 // 1000
    assert high and all(abs(column - middle) <= 1 for column in high)
    assert low and all(abs(column - middle + (WIDTH - GUTTER) // 4) <= 1 for column in low)


def test_one_peak_among_a_hundred_thousand_points_is_seen() -> None:
    values = [1.0 + (n % 7) / 100 for n in range(100_000)]
    values[70_000] = 1.09
    picture = draw([Line("a", filled(values), "train")], Range(0, 99_999), WIDTH, HEIGHT)
    cells = inked(picture, "train")
    highest = min(row for row, _ in cells)
    top = {column for row, column in cells if row == highest}
    assert top == {GUTTER + (WIDTH - GUTTER) * 7 // 10}


def test_a_falling_line_falls_cell_by_cell() -> None:
    picture = draw([Line("a", filled([2.0, 1.0]), "train")], Range(0, 1), WIDTH, HEIGHT)
    cells = sorted(inked(picture, "train"), key=lambda cell: (cell[1], cell[0]))
    rows = [row for row, _ in cells]
    assert rows == sorted(rows) and rows[0] == 0 and rows[-1] == ROWS - 1
    assert {column for _, column in cells} == set(range(GUTTER, WIDTH))


def test_not_a_number_is_a_red_cross_and_a_break_in_the_line() -> None:
    values = [1.0] * 20 + [math.nan] * 10 + [2.0] * 20
    picture = draw([Line("a", filled(values), "train")], Range(0, 49), WIDTH, HEIGHT)
    assert picture.gaps == 10
    crosses = {column for row, column in inked(picture, "nan") if row == 0}
    assert (
        crosses and min(crosses) >= picture.column_at(20) and max(crosses) <= picture.column_at(29)
    )
    between = {column for _, column in inked(picture, "train")} & set(
        range(GUTTER + 24, GUTTER + 30)
    )
    assert not between


def test_a_logarithmic_axis_puts_decades_at_equal_distances() -> None:
    values = [1000.0, 100.0, 10.0, 1.0]
    picture = draw([Line("a", filled(values), "train")], Range(0, 3), WIDTH, 33, log_y=True)
    labels = {line[: GUTTER - 1].strip(): row for row, line in enumerate(lines_of(picture))}
    assert [labels[text] for text in ("1000", "100", "10", "1")] == [0, 10, 20, 30]


def test_a_logarithmic_axis_leaves_out_what_is_not_above_zero() -> None:
    picture = draw([Line("a", filled([1.0, 0.0, -5.0, 10.0]), "train")], Range(0, 3), 60, 12, True)
    assert picture.hidden == 1
    assert (picture.y.low, picture.y.high) == (0.0, 1.0)


def test_the_average_stands_out_from_its_curve() -> None:
    values = [1.0 + (n % 2) for n in range(400)]
    line = Line("a", filled(values), "train", smoothing=0.95, raw_style="raw")
    picture = draw([line], Range(0, 399), WIDTH, HEIGHT)
    settled = {(row, column) for row, column in inked(picture, "train") if column > WIDTH // 2}
    assert {row for row, _ in settled} <= {ROWS // 2 - 1, ROWS // 2}
    assert inked(picture, "raw")


def test_the_crosshair_reads_the_nearest_point() -> None:
    series = filled([float(n) for n in range(100)])
    line = Line("a", series, "train", smoothing=0.5)
    picture = draw([line], Range(0, 100), WIDTH, HEIGHT, crosshair=40.2)
    reading = picture.readings[0]
    assert (reading.x, reading.raw) == (40.0, 40.0)
    assert reading.smoothed == pytest.approx(39.0)
    assert " 40 " in lines_of(picture)[-1]


def test_without_a_crosshair_the_last_values_are_read() -> None:
    picture = draw([Line("a", filled([5.0, 6.0]), "train")], Range(0, 1), WIDTH, HEIGHT)
    assert picture.readings[0].raw == 6.0


def test_a_line_between_points_outside_the_window_crosses_it() -> None:
    series = Series()
    series.append(0, 0.0)
    series.append(100, 100.0)
    other = filled([float(n) for n in range(101)])
    lines = [Line("a", series, "train"), Line("b", other, "validation")]
    picture = draw(lines[:1], Range(0, 100), WIDTH, HEIGHT)
    assert inked(picture, "train")
    picture = draw(lines, Range(40, 60), WIDTH, HEIGHT)
    assert {column for _, column in inked(picture, "validation")} == set(range(GUTTER, WIDTH))


def test_columns_cut_the_series_completely() -> None:
    series = filled([0.0] * 1000)
    cuts = edges(series, Range(0, 999), 100)
    assert cuts[0] == 0 and cuts[-1] == 1000 and cuts == sorted(cuts)


def test_no_points_make_an_empty_picture() -> None:
    picture = draw([Line("a", Series(), "train")], Range(0, 1), WIDTH, HEIGHT)
    assert not inked(picture, "train") and len(picture.rows) == HEIGHT


def test_blocks_where_a_font_has_no_braille() -> None:
    lines = [Line("x", filled([math.sin(n / 5) for n in range(60)]), "train")]
    dots = draw(lines, Range(0, 59), WIDTH, HEIGHT)
    blocks = draw(lines, Range(0, 59), WIDTH, HEIGHT, glyphs=BLOCKS)
    assert inked(dots, "train") == inked(blocks, "train") != set()
    cells = "".join(line[GUTTER:] for line in lines_of(blocks)[:ROWS])
    assert set(cells) == set(" ▀▄█")


def test_what_a_terminal_can_show() -> None:
    assert glyphs_for("", "xterm-256color") is BRAILLE and glyphs_for("", "linux") is BLOCKS
    assert glyphs_for("dots", "linux") is BRAILLE and glyphs_for("blocks", "xterm") is BLOCKS
