"""Zooming and panning never leave the curves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.tui.chart.test_series import filled
from workbench.tui.chart.axes import View


def seen(points: int = 1000, planned: float = 0) -> View:
    view = View()
    view.bound([filled([0.0] * points)], planned)
    return view


def test_all_of_the_curves_and_a_little_more() -> None:
    assert (seen().window.low, seen().window.high) == (0, 1000)
    assert seen(890, planned=890).window.high == 890


def test_zoom_keeps_the_point_under_the_mouse_in_its_place() -> None:
    view = seen()
    view.zoom(0.5, around=250)
    assert (view.window.low, view.window.high) == (125, 625) and view.fixed
    view.zoom(2.0, around=250)
    assert not view.fixed


def test_a_chosen_window_stays_while_points_come_in() -> None:
    view = seen()
    view.zoom(0.5, around=0)
    view.bound([filled([0.0] * 3000)], 0)
    assert view.window.high == 500
    view.reset()
    assert view.window.high == 3000


@given(st.lists(st.one_of(st.floats(-2, 2), st.sampled_from(["in", "out"])), max_size=20))
def test_the_window_stays_inside(moves: list[float | str]) -> None:
    view = seen()
    for move in moves:
        if isinstance(move, float):
            view.pan(move)
        else:
            view.zoom(0.5 if move == "in" else 2.0)
        assert 0 <= view.window.low < view.window.high <= 1000 + 1e-6
        assert view.window.span >= 3.999
