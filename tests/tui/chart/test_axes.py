"""Axes on round numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.tui.chart import axes
from workbench.tui.chart.axes import Range


@given(st.floats(-1e5, 1e5), st.floats(1e-6, 1e6), st.integers(2, 12))
def test_ticks_lie_inside_on_round_steps(low: float, span: float, count: int) -> None:
    axis = Range(low, low + span)
    found = axes.ticks(axis, count)
    step = axes.round_step(axis.span, count)
    assert len(found) <= count + 1
    slack = step * 1e-6 + abs(low) * 1e-12  # what rounding costs a small span far from zero
    assert all(low - slack <= tick <= low + span + slack for tick in found)
    mantissa = step / 10 ** math.floor(math.log10(step) + 1e-9)
    assert min(abs(mantissa - round_one) for round_one in (1, 2, 5, 10)) < 1e-6


@given(st.floats(-1e5, 1e5, allow_subnormal=False), st.floats(0, 1e5))
def test_a_range_holds_its_values_and_is_not_much_wider(low: float, span: float) -> None:
    found = axes.rounded(low, low + span)
    assert found.low <= low and found.high >= low + span
    assert found.span > 0
    if span > 1e-3:
        assert found.span <= span * 1.5


def test_the_range_stands_while_points_come_in() -> None:
    ranges = {axes.rounded(0.31 + n / 1000, 3.07) for n in range(20)}
    assert len(ranges) == 1
    ends = {axes.round_end(last) for last in range(1001, 1250)}
    assert ends == {1250}


def test_a_few_peaks_are_cut_and_said_to_be() -> None:
    usual = [1.0] * 200
    assert axes.value_range([0.5] * 200, [*usual[:-1], 100.0]) == (Range(0.5, 1.0), True)
    assert axes.value_range([0.5] * 200, usual) == (Range(0.5, 1.0), False)


def test_logarithmic_ticks_are_round_values() -> None:
    found = [10**tick for tick in axes.log_ticks(Range(-1.2, 1.1), 8)]
    assert found == pytest.approx([0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0])


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [
        (0, 1, "0"),
        (0.2, 0.2, "0.2"),
        (0.15, 0.05, "0.15"),
        (1.5, 0.5, "1.5"),
        (3, 1, "3"),
        (2e-4, 1e-4, "2.0e-4"),
    ],
)
def test_labels(value: float, step: float, text: str) -> None:
    assert axes.label(value, step) == text


def test_counts_and_figures() -> None:
    assert [axes.count(n) for n in (7, 1200, 12_500, 1_200_000)] == ["7", "1,200", "12.5k", "1.2M"]
    assert axes.figure(0.43215) == "0.4321" and axes.figure(math.nan) == "NaN"
    assert axes.figure(1.25e-05) == "1.25e-5"
