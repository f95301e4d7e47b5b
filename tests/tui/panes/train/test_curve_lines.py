from __future__ import annotations

import pytest

from workbench.tui.chart.curves import StageCurves
from workbench.tui.panes.train.curve_lines import FIGURES, LOSS, metric_lines, next_smoothing


def test_without_curves_there_is_nothing_to_draw() -> None:
    assert not any(metric_lines(None, figure, 0.6) for figure in FIGURES)


def test_every_metric_has_its_own_series() -> None:
    curves = StageCurves()
    drawn = [line.series for name in FIGURES for line in metric_lines(curves, name, 0.6)]
    assert len({id(series) for series in drawn}) == len(drawn) == 6
    train, validation = metric_lines(curves, LOSS, 0.6)
    assert (train.series, validation.series) == (curves.train, curves.validation)


@pytest.mark.parametrize(
    ("given", "by", "found"), [(0.6, 1, 0.8), (0.6, -1, 0.3), (0.0, -1, 0.0), (0.99, 1, 0.99)]
)
def test_smoothing_goes_by_its_steps(given: float, by: int, found: float) -> None:
    assert next_smoothing(given, by) == found
