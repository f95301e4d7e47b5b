"""The pyramid against brute force: the same extremes and means for any stretch, at any length."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.tui.chart.series import Series

FLOATS = st.floats(-1e6, 1e6)


def filled(values: list[float]) -> Series:
    series = Series()
    for x, y in enumerate(values):
        series.append(x, y)
    return series


@given(st.lists(FLOATS, min_size=1, max_size=300), st.data())
def test_extremes_of_any_stretch(values: list[float], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(values) - 1))
    end = data.draw(st.integers(start + 1, len(values)))
    series = filled(values)
    assert series.extremes(start, end) == (min(values[start:end]), max(values[start:end]))
    assert series.mean(start, end) == pytest.approx(
        sum(values[start:end]) / (end - start), abs=1e-6
    )


@given(
    st.lists(FLOATS, min_size=1, max_size=200), st.integers(0, 200), st.lists(FLOATS, max_size=99)
)
def test_points_taken_back_leave_no_trace(
    values: list[float], keep: int, more: list[float]
) -> None:
    series = filled(values)
    series.forget_after(keep - 1)
    for x, y in enumerate(more, start=len(values)):
        series.append(x, y)
    expected = values[:keep] + more
    assert list(series.ys) == expected
    for start in range(0, len(expected), 7):
        assert series.extremes(start, len(expected)) == (
            min(expected[start:]),
            max(expected[start:]),
        )


def test_what_is_no_number_is_kept_apart() -> None:
    series = filled([1.0, math.nan, 3.0, math.inf])
    assert list(series.ys) == [1.0, 3.0]
    assert list(series.gaps) == [1.0, 3.0]
    series.forget_after(2)
    assert list(series.gaps) == [1.0]


def test_a_point_that_is_not_to_the_right_is_passed_over() -> None:
    series = filled([1.0, 2.0])
    series.append(1, 9.0)
    series.append(0.5, 9.0)
    assert list(series.ys) == [1.0, 2.0]


def test_nearest_point() -> None:
    series = filled([0.0] * 10)
    assert series.nearest(3.4) == 3
    assert series.nearest(3.6) == 4
    assert series.nearest(-5) == 0
    assert series.nearest(99) == 9
    assert Series().nearest(1) is None


def test_a_long_series_needs_few_steps_for_its_extremes() -> None:
    series = filled([float(n % 1000) for n in range(1 << 14)])
    looked: list[int] = []
    widest = series._widest_block
    series._widest_block = lambda a, b: looked.append(1) or widest(a, b)  # type: ignore[method-assign, func-returns-value]
    assert series.extremes(1, (1 << 14) - 1) == (0.0, 999.0)
    assert len(looked) < 40


@given(st.lists(st.lists(st.one_of(FLOATS, st.just(math.nan)), max_size=40), max_size=8))
def test_points_in_bulk_are_the_same_points(parts: list[list[float]]) -> None:
    bulk, single, x = Series(), Series(), 0
    for part in parts:
        xs = [float(x + n) for n in range(len(part))]
        x += len(part)
        bulk.extend(xs, part)
        for point in zip(xs, part, strict=True):
            single.append(*point)
    assert (bulk.xs, bulk.ys, bulk.gaps) == (single.xs, single.ys, single.gaps)
    assert (bulk._lows, bulk._highs) == (single._lows, single._highs)
    assert list(bulk._sums) == pytest.approx(list(single._sums), abs=1e-3)


def test_bulk_points_that_do_not_rise_are_passed_over() -> None:
    series = filled([0.0] * 5)
    series.extend([float(n) for n in range(20)], [9.0] * 20)
    assert list(series.xs) == [float(n) for n in range(20)] and list(series.ys[:5]) == [0.0] * 5
