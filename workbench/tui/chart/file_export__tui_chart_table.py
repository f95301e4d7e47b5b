"""A stage's figures as CSV, all of them: one line a step, in the order of the steps."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator

from workbench.tui.chart.curves import StageCurves
from workbench.tui.chart.series import Series

Points = list[tuple[float, float]]


class Table:
    """The figures as they are now; `text` may be made in a thread while new ones come in."""

    def __init__(self, curves: StageCurves) -> None:
        self._columns = {
            "loss": _copy(curves.train),
            "validation_loss": _copy(curves.validation),
            "general_loss": _copy(curves.general),
            "learning_rate": _copy(curves.learning_rate),
            "gradient_norm": _copy(curves.gradient_norm),
            "tokens_per_second": _copy(curves.speed),
        }

    def text(self) -> str:
        """The CSV. A field is empty where there is no value, `nan` where it was no number."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield ",".join(["step", *self._columns])
        columns = [_merged(*column) for column in self._columns.values()]
        heads = [next(column, None) for column in columns]
        while found := [head[0] for head in heads if head]:
            step = min(found)
            fields = [f"{step:.0f}"]
            for number, head in enumerate(heads):
                at_step = head is not None and head[0] == step
                fields.append(repr(head[1]) if head and at_step else "")
                if at_step:
                    heads[number] = next(columns[number], None)
            yield ",".join(fields)


def _copy(series: Series) -> tuple[array[float], array[float], array[float]]:
    return series.xs[:], series.ys[:], series.gaps[:]


def _merged(
    xs: array[float], ys: array[float], gaps: array[float]
) -> Iterator[tuple[float, float]]:
    """The points in their order, with what was no number between them."""
    points = zip(xs, ys, strict=True)
    if not gaps:
        return points
    return iter(sorted([*points, *((x, math.nan) for x in gaps)]))
