"""What the charts of the Train pane draw of a stage's curves, by the name of the metric."""

from __future__ import annotations

from workbench.tui.chart.columns import Line
from workbench.tui.chart.curves import StageCurves

LOSS, GENERAL, RATE, NORM, SPEED = FIGURES = (
    "loss",
    "general text",
    "learning rate",
    "gradient norm",
    "tokens per second",
)
SMOOTHINGS = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99)


def metric_lines(curves: StageCurves | None, figure: str, smoothing: float) -> list[Line]:
    """The lines of one metric; none without curves. `smoothing` is for the training loss."""
    if curves is None:
        return []
    if figure == LOSS:
        return [
            Line("train", curves.train, "train", smoothing, "raw"),
            Line("val", curves.validation, "validation", dotted=True),
        ]
    if figure == GENERAL:
        return [Line("loss", curves.general, "validation", dotted=True)]
    if figure == RATE:
        return [Line("now", curves.learning_rate, "rate")]
    if figure == NORM:
        return [Line("now", curves.gradient_norm, "norm")]
    return [Line("now", curves.speed, "speed")]


def next_smoothing(smoothing: float, by: int) -> float:
    """The step of `SMOOTHINGS` that lies `by` steps from the one nearest to `smoothing`."""
    nearest = min(SMOOTHINGS, key=lambda weight: abs(weight - smoothing))
    return SMOOTHINGS[max(0, min(len(SMOOTHINGS) - 1, SMOOTHINGS.index(nearest) + by))]
