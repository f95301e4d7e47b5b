"""The picture in the README: a finished run's own words, drawn as a terminal.

    python -m recipes.picture runs/quickstart docs/quickstart.svg

Nothing is invented: the lines are what the headless run tells of that run's event log, with all
but the first pair of answers left out so that it fits a page.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from workbench.console.live_view import STYLES
from workbench.console.views import EventLines
from workbench.reports.run_summary import report
from workbench.run.folder import RunFolder
from workbench.run.log import read
from workbench.run.state import RunState

WIDTH = 110


def main() -> None:
    """Read the run's log and write the picture."""
    run, target = RunFolder(Path(sys.argv[1]).resolve()), Path(sys.argv[2])
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ workbench --preset quickstart", style="bold"))
    for line in told(run):
        console.print(styled(line), soft_wrap=False)
    target.write_text(terminal_svg(console, "workbench"), encoding="utf-8")


def terminal_svg(console: Console, title: str) -> str:
    """What the console recorded, as SVG in which every line keeps its leading spaces.

    Rich writes them as no-break spaces, which viewers other than browsers drop without the
    attribute (SVG 1.1, 10.15 White space handling).
    """
    return console.export_svg(title=title).replace("<svg ", '<svg xml:space="preserve" ', 1)


def told(run: RunFolder) -> list[str]:
    """The finished stages' lines and the report, shortened."""
    narrator, state = EventLines(), RunState()
    lines: list[str] = []
    for record in read(run.events_file):
        state.apply([record])
        lines += [line for line in narrator.lines([record], state) if line[:1] == "✓"]
    return lines + shortened(report(run, state))


def shortened(lines: list[str]) -> list[str]:
    """The report with one prompt's answers, and paths as the run's folder would show them."""
    prompts = [i for i, line in enumerate(lines) if line.startswith("  > ")]
    rest = next(i for i, line in enumerate(lines) if line == "Files") - 1
    kept = lines[: prompts[1]] + lines[rest:] if len(prompts) > 1 else lines
    return [re.sub(r"\S*/(runs/\S+)", r"\1", line) for line in kept]


def styled(line: str) -> Text:
    """The line with its mark in colour; headings in bold."""
    text = Text(line)
    if style := STYLES.get(line[:1]):
        text.stylize(style, 0, 1)
    elif line and not line.startswith(" "):
        text.stylize("bold")
    return text


if __name__ == "__main__":
    main()
