"""The moving average against its definition, point by point."""

from __future__ import annotations

import pytest

from tests.tui.chart.test_series import filled
from workbench.tui.chart.columns import smooth, weight_of_point


def by_definition(values: list[float], weight: float) -> list[float]:
    average, found = 0.0, []
    for number, value in enumerate(values, start=1):
        average = weight * average + (1 - weight) * value
        found.append(average / (1 - weight**number))
    return found


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.9, 0.99])
def test_exact_where_a_column_holds_one_point(weight: float) -> None:
    values = [float((n * 37) % 11) for n in range(200)]
    found = smooth(filled(values), list(range(201)), weight)
    assert found == pytest.approx(by_definition(values, weight))


def test_a_window_begins_with_what_came_before_it() -> None:
    values = [10.0] * 100 + [0.0] * 100
    whole = smooth(filled(values), list(range(201)), 0.9)
    window = smooth(filled(values), list(range(100, 201)), 0.9)
    assert window[0] == pytest.approx(whole[100], rel=0.05)
    assert window[-1] == pytest.approx(whole[-1], abs=1e-3)


def test_wide_columns_stay_near_the_definition() -> None:
    values = [3.0 - n / 500 + (n % 5) / 10 for n in range(1000)]
    edges = list(range(0, 1001, 10))
    exact = by_definition(values, 0.95)
    for end, value in zip(edges[1:], smooth(filled(values), edges, 0.95), strict=True):
        assert value == pytest.approx(exact[end - 1], abs=0.05)


def test_columns_without_points_have_no_value() -> None:
    assert smooth(filled([1.0, 2.0]), [0, 1, 1, 2], 0.5)[1] is None


def test_a_long_curve_is_smoothed_as_much_to_the_eye() -> None:
    assert weight_of_point(0.9, 500) == 0.9
    assert weight_of_point(0.9, 100_000) == pytest.approx(0.9**0.01)
