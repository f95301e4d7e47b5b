"""A dataset in numbers: findings by code, counts by category and split, lengths in tokens.

The line above the rows names the dataset, how much of it is shown, and what is in progress.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.text import Text

from workbench.core.text import one_line, quantity
from workbench.dataset.checks.findings import CODES, severity
from workbench.dataset.checks.summary import Lengths
from workbench.dataset.rows import Row
from workbench.tui.panes.data.model import DataModel
from workbench.tui.panes.data.preview_client import LengthCounts
from workbench.tui.panes.data.row_filter import FilteredRows
from workbench.tui.panes.data.scan_results import SIGN_NOUNS, SIGN_STYLES
from workbench.tui.panes.runs.run_table import bar
from workbench.tui.styled_text import styled, wrapped

SEVERITY_STYLES = {"error": "red", "warning": "yellow", "note": "dim"}
SIDES = ("train", "validation", "repeated")
BARS = 20
BAR_CELLS = 30
MAX_CATEGORIES = 40


def figure_lines(reading: DataModel, counting: LengthCounts | None, width: int) -> list[Text]:
    """Formats, findings by code, counts by category and split, and the histogram of lengths."""
    why = "; ".join(dict.fromkeys(f"{format} ({why})" for format, why in reading.formats))
    files = quantity(len(reading.formats), "file")
    lines = [Text(f"{quantity(len(reading), 'row')}, {files}: {one_line(why, 200)}")]
    lines += _codes(reading)
    split = counting.split if counting else {}
    if split or set(reading.found.categories) - {""}:
        lines += [Text(""), *_categories(reading, split)]
    lines += [Text(""), styled("Lengths in tokens", "bold")]
    if counting is None:
        return [*lines, styled("available once all rows are read", "dim")]
    lines += wrapped(counting.told(len(reading)), width, "dim")
    limit = counting.limits.get(_kind(reading), 0)
    return lines + (list(_histogram(counting.lengths, limit)) if counting.lengths else [])


def _kind(reading: DataModel) -> str:
    first = reading.entry(0)
    return first.kind if isinstance(first, Row) else "chat"


def _codes(reading: DataModel) -> Iterator[Text]:
    """How often what was found."""
    found = reading.found
    if not found.counts:
        yield styled("no findings" if found.done else "checking ...", "dim")
    examples = {fault.code: fault for fault in reversed(found.findings)}
    for code, count in sorted(found.counts.items(), key=lambda item: -item[1]):
        weight = severity(examples[code]) if code in examples else "warning"
        meaning = CODES[code].meaning if code in CODES else ""
        yield Text(f"{count:>9,} ").append(f"{code:16}", SEVERITY_STYLES[weight]).append(meaning)


def _categories(reading: DataModel, split: dict[str, dict[str, int]]) -> Iterator[Text]:
    """A line for each category: rows, and of them those that train, validate, or are repeated."""
    sides = [side for side in SIDES if split.get(side)]
    heads = "".join(f"{side:>11}" for side in sides)
    yield styled(f"{'Category':20} {'rows':>9}{heads}", "bold")
    found = reading.found.categories.most_common()
    most = found[0][1]
    for name, count in found[:MAX_CATEGORIES]:
        counts = "".join(f"{split[side].get(name, 0):>11,}" for side in sides)
        shown = one_line(name, 20) or ("(none)" if len(found) > 1 else "all")
        yield Text(f"{shown:20} {count:>9,}{counts} ").append(bar(count / most, 16), "green")
    if len(found) > MAX_CATEGORIES:
        yield styled(f"and {len(found) - MAX_CATEGORIES} more", "dim")
    if len(found) > 1 and sides:
        sums = "".join(f"{sum(split[side].values()):>11,}" for side in sides)
        yield styled(f"{'all':20} {sum(reading.found.categories.values()):>9,}{sums}", "bold")


def _histogram(lengths: Sequence[int], limit: int) -> Iterator[Text]:
    yield Text(str(Lengths.of(lengths)))
    over = sum(length > limit for length in lengths)
    if limit and over:
        line = f"{over:,} of {len(lengths):,} exceed sequence_length = {limit}"
        yield styled(f"! {line}", "yellow")
    width = max(1, -(-max(lengths) // BARS))
    counts = Counter(length // width for length in lengths)
    most = max(counts.values())
    marked = False
    for number in range(min(counts), max(counts) + 1):
        count = counts[number]
        start, end = number * width, (number + 1) * width - 1
        beyond = bool(limit) and start > limit
        if beyond and not marked:
            marked = True
            yield styled(f"{'─' * 12} sequence_length {limit} {'─' * 12}", "yellow")
        style = "red" if beyond else "green"
        yield Text(f"{start:>6}–{end:<6}{count:>7,} ").append(bar(count / most, BAR_CELLS), style)


def heading(reading: DataModel, selection: FilteredRows) -> Text:
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


def _doing(reading: DataModel, selection: FilteredRows) -> Iterator[str]:
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
