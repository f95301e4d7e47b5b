"""Several runs side by side, as lines of text: for the command line and for the screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from workbench.core.text import one_line
from workbench.reports.cases import Case
from workbench.reports.run_comparison import Change, Comparison

MAX_PROMPTS = 10
MAX_CELL = 60
LEAST_CELL = 8
INDENT = "  "


def lines(found: Comparison, width: int = 1000) -> list[str]:
    """The table, then what has changed in the first run's evaluation; cells are cut to `width`."""
    rows = [["", *found.names], *_rows(found)]
    spans = _spans(rows, width)
    table = [
        "  ".join(_cell(cell, span) for cell, span in zip(row, spans, strict=True))
        if any(row[1:])
        else row[0]
        for row in rows
    ]
    told = [f"! {note}" for note in found.notes]
    told += [line for change in found.changes for line in changed(change)]
    return [line.rstrip() for line in [*table, *told]]


def changed(change: Change) -> Iterator[str]:
    """How the evaluation stands against another run's, and the prompts that say so."""
    yield ""
    yield one_line(change.sentence, 400)
    yield from _prompts("newly failing", change.newly_failing)
    yield from _prompts("newly passing", change.newly_passing)


def _rows(found: Comparison) -> Iterator[list[str]]:
    """A line for each section's title, its facts indented below it."""
    section = ""
    for row in found.rows:
        if row.section != section:
            section = row.section
            yield [one_line(section, MAX_CELL), *("" for _ in found.names)]
        yield [f"{INDENT}{row.name}", *row.cells]


def _spans(rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """The columns' widths: those of what they hold, less where that is too much."""
    wished = [min(MAX_CELL, max(map(len, column))) for column in zip(*rows, strict=True)]
    room = width - 2 * (len(wished) - 1)
    first = min(wished[0], max(LEAST_CELL, room * 2 // 5, room - sum(wished[1:])))
    each = max(LEAST_CELL, (room - first) // max(1, len(wished) - 1))
    return [first, *(min(span, each) for span in wished[1:])]


def _cell(text: str, span: int) -> str:
    indent = INDENT if text.startswith(INDENT) else ""
    return (indent + one_line(text, span - len(indent))).ljust(span)


def _prompts(title: str, cases: Sequence[Case]) -> Iterator[str]:
    for case in cases[:MAX_PROMPTS]:
        place = f"{one_line(case.place, 60)}  {one_line(case.category, 30)}".rstrip()
        yield f"  {title}: {place}  {one_line(case.prompt, 120)}"
    if len(cases) > MAX_PROMPTS:
        yield f"  {title}: {len(cases) - MAX_PROMPTS:,} more (use --json for all)"
