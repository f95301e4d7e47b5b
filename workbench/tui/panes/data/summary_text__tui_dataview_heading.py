"""The line above a dataset: what it is, how much of it is shown, what is still being done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.text import Text

from workbench.core.text import one_line, quantity
from workbench.tui.panes.data.scan_results import SIGN_NOUNS, SIGN_STYLES
from workbench.tui.panes.data.model import DataReading
from workbench.tui.panes.data.row_filter import Selection


def heading(reading: DataReading, selection: Selection) -> Text:
    """The dataset's name, counts, what is still being done with it, format and path."""
    found = reading.found
    name = Path(reading.source.path).name
    text = Text(" ").append(one_line(name, 40), "bold")
    rows = quantity(len(reading), "row")
    if selection.wanted.everything:
        text.append(f"  {rows}")
    else:
        text.append(f"  {len(selection):,} of {rows}", "yellow")
    for doing in _doing(reading, selection):
        text.append(f"  {doing}", "yellow")
    if trouble := reading.trouble or found.trouble:
        text.append(f"  {one_line(trouble, 200)}", "red")
    for mark, noun in SIGN_NOUNS.items():
        if count := found.by_sign[mark]:
            text.append(f"  {quantity(count, noun)}", SIGN_STYLES[mark])
    if found.left_out:
        text.append(f"  and {quantity(found.left_out, 'more finding')}", "dim")
    if not selection.wanted.everything:
        text.append(f"  {selection.wanted.told()}", "yellow")
    text.append(f"  {reading.kinds}" if reading.kinds else "")
    if (path := one_line(reading.source.path, 200)) != one_line(name, 40):
        text.append(f"  {path}", "dim")
    return text


def _doing(reading: DataReading, selection: Selection) -> Iterator[str]:
    found = reading.found
    if told := selection.told():
        yield told
    if not reading.indexed:
        yield "reading from the start ..." if reading.spooled else "reading ..."
    elif not found.read:
        yield f"checking rows, {reading.share(found.rows):.0%}"
    elif not found.done:
        yield "checking for duplicates ..."
    if found.full:
        yield "the temporary folder is full: later rows are not shown"
