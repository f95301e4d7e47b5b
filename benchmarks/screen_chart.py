"""The large chart alone, in an app without a terminal: what one more point costs."""

from __future__ import annotations

import math
import statistics
import time

from textual.app import App, ComposeResult

from workbench.tui.chart.chart import Chart
from workbench.tui.chart.columns import Line
from workbench.tui.chart.series import Series

REPEATS = 30


class ChartApp(App[None]):
    """Nothing but the chart."""

    def compose(self) -> ComposeResult:
        yield Chart("loss")


async def update_ms(points: int, size: tuple[int, int]) -> float:
    """Median processor time in milliseconds of a redraw after one more point."""
    train, validation = Series(), Series()
    xs = [float(n) for n in range(1, points + 1)]
    losses = [0.3 + 2.7 * math.exp(-4 * x / points) + 0.2 * math.sin(x * 1.7) for x in xs]
    train.extend(xs, losses)
    every = points // 50
    validation.extend(xs[every::every], losses[every::every])
    lines = [Line("train", train, "train", 0.9, "raw"), Line("val", validation, "validation")]
    app = ChartApp()
    async with app.run_test(size=size) as pilot:
        chart = app.query_one(Chart)
        chart.lines = lambda: lines
        chart.redraw()
        await pilot.pause()
        times = []
        for number in range(REPEATS):
            train.append(points + 1 + number, 0.3 + number / 100)
            began = time.process_time()
            chart.redraw()
            for y in range(size[1]):
                chart.render_line(y)
            times.append(time.process_time() - began)
        assert chart.drawn >= REPEATS, "a redraw was left out"
    return statistics.median(times) * 1000
