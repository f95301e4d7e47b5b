"""Ask under which name the chart is to be saved, and save it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from workbench.core.text import one_line
from workbench.tui.chart import file_export
from workbench.tui.chart.curves import StageCurves
from workbench.tui.chart.file_export__tui_chart_table import Table
from workbench.tui.dialogs.dialog__tui_dialogs_entry import Entry

if TYPE_CHECKING:
    from workbench.tui.host import Host

QUESTION = "Save the chart (.svg, .png) or the stage's data (.csv) as"


def ask(host: Host, stem: str, picture: Callable[[], str], curves: StageCurves) -> None:
    """`picture` gives the SVG of what is seen when the name is there."""

    def then(name: str | None) -> None:
        if name:
            drawn = picture()
            text = Table(curves).text if file_export.wants_table(name) else lambda: drawn
            host.say(f"saving {one_line(name, 200)} ...")
            host.in_background(lambda: file_export.save(name, text), lambda at: host.say(f"saved {at}"))

    host.push_screen(Entry(QUESTION, file_export.free_name(stem), file_export.fault), then)
