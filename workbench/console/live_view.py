"""The view for a terminal: finished stages stay as lines, the running one moves below them.

Drawn with rich on stderr; texts are `Text` objects, so that nothing in them is markup.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from workbench.console.views import EventLines
from workbench.core.text import visible
from workbench.reports import status_text
from workbench.run.event_lines import Record
from workbench.run.state import RunState, StageState

BAR_WIDTH = 24
STYLES = {"✓": "green", "!": "yellow"}


class LiveView:
    """One live line for the running stage; everything else scrolls up and stays."""

    def __init__(self, console: Console) -> None:
        self._narrator = EventLines()
        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,  # what scripts read stays on stdout
            redirect_stderr=False,
        )
        self._live.start()

    def show(self, state: RunState, records: Sequence[Record]) -> None:
        for line in self._narrator.lines(records, state):
            self.tell(line)
        stage = state.stages.get(state.stage)
        is_running = stage is not None and stage.status == "running"
        self._live.update(self._moving(stage) if stage and is_running else Text(""), refresh=True)

    def tell(self, line: str) -> None:
        mark, rest = line[:1], line[1:]
        text = Text.assemble((visible(mark), STYLES.get(mark, "")), visible(rest))
        self._live.console.print(text, soft_wrap=True)

    def close(self) -> None:
        self._live.update(Text(""), refresh=True)
        self._live.stop()

    def _moving(self, stage: StageState) -> Table:
        phrase = status_text.running_text(stage)
        line = Table.grid(padding=(0, 1), expand=False)
        line.add_column(width=1)
        line.add_column(no_wrap=True, min_width=status_text.NAME_WIDTH)
        line.add_column(width=BAR_WIDTH if phrase.share is not None else 0)
        line.add_column(no_wrap=True, overflow="ellipsis")
        line.add_column(no_wrap=True, style="dim")
        line.add_row(
            self._spinner,
            Text(status_text.label(stage.name)),
            _bar(phrase.share),
            Text(phrase.text),
            Text(phrase.left),
        )
        return line


def _bar(share: float | None) -> ProgressBar | Text:
    if share is None:
        return Text("")
    return ProgressBar(total=1.0, completed=min(1.0, share), width=BAR_WIDTH)
