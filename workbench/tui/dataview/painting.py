"""A data set in lines of text: a row's tokens, its messages without them, counts and lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rich.cells import cell_len
from rich.text import Text

from workbench.dataset.report import Lengths
from workbench.dataset.rows import Fault, Place, Row
from workbench.lens.lens import Piece, Shown
from workbench.text import one_line, visible
from workbench.tui.dataview.reading import DataReading
from workbench.tui.styled import styled
from workbench.tui.widgets.runlist import bar

TRAINED, CONTEXT, SPECIAL, BEYOND = "bold green", "dim", "reverse", "red strike"
BARS = 20
BAR_CELLS = 30
MAX_CHARS = 20_000
MAX_CATEGORIES = 40


def token_lines(shown: Shown, width: int, bounds: bool) -> list[Text]:
    """The tokens laid out: learnt ones bold, control tokens reversed, cut ones struck out."""
    lines = [styled(f"! {line}", "yellow") for line in shown.told]
    return lines + list(_laid_out(shown.pieces, width, bounds))


def plain_lines(row: Row, width: int, why: str) -> list[Text]:
    """The row's messages as they stand in the file, where there are no tokens to show."""
    lines = [styled(f"! {one_line(why, 300)}", "yellow")] if why else []
    for message in row.messages:
        note = "" if message.train or message.role != "assistant" else " (not learnt)"
        lines.append(styled(f"{one_line(message.role)}{note}", "bold"))
        lines += wrapped(message.content, width, TRAINED if message.role == "assistant" else "")
    if row.text:
        lines += wrapped(row.text[:MAX_CHARS], width, "")
    if row.must_contain:
        wanted = one_line(", ".join(row.must_contain), 200)
        lines.append(styled(f"a good answer holds: {wanted}", "dim"))
    return lines


def finding_line(fault: Fault) -> Text:
    """`✗ file:line: message (hint)`; the folder stands elsewhere."""
    mark = ("✗", "red") if fault.fatal else ("!", "yellow")
    if fault.code == "duplicate":
        mark = ("=", "cyan")
    return (
        Text(no_wrap=True)
        .append(f"{mark[0]} ", mark[1])
        .append(str(replace(fault, place=Place(Path(fault.place.path).name, fault.place.line))))
    )


def figure_lines(reading: DataReading, lengths: Sequence[int], limit: int, told: str) -> list[Text]:
    """Formats, counts by category and the histogram of lengths against the sequence length."""
    why = "; ".join(dict.fromkeys(f"{format} ({why})" for format, why in reading.formats))
    files = f"{len(reading.formats):,} file{'s' * (len(reading.formats) != 1)}"
    rows, faults = len(reading.rows), sum(fault.fatal for fault in reading.faults)
    repeated = sum(fault.code == "duplicate" for fault in reading.notes)
    noted = len(reading.notes) - repeated + len(reading.faults) - faults
    lines = [
        Text(f"{rows:,} rows, {files}: {one_line(why, 200)}"),
        Text(f"{faults:,} faults, {repeated:,} duplicates, {noted:,} notes"),
    ]
    if set(reading.categories) - {""}:
        lines += [Text(""), styled("Categories", "bold"), *_categories(reading)]
    lines += [Text(""), styled("Lengths in tokens", "bold"), styled(one_line(told, 200), "dim")]
    return lines + (list(_histogram(lengths, limit)) if lengths else [])


def _categories(reading: DataReading) -> Iterator[Text]:
    found = reading.categories.most_common()
    most = found[0][1]
    for name, count in found[:MAX_CATEGORIES]:
        shown = one_line(name, 20) or "(none)"
        yield Text(f"{shown:20} {count:>9,} ").append(bar(count / most, BAR_CELLS), "green")
    if len(found) > MAX_CATEGORIES:
        yield styled(f"and {len(found) - MAX_CATEGORIES} more", "dim")


def _histogram(lengths: Sequence[int], limit: int) -> Iterator[Text]:
    yield Text(str(Lengths.of(lengths)))
    over = sum(length > limit for length in lengths)
    if over:
        line = f"{over:,} of {len(lengths):,} are longer than sequence_length = {limit}"
        yield styled(f"! {line}", "yellow")
    width = max(1, -(-max(lengths) // BARS))
    counts = Counter(length // width for length in lengths)
    most = max(counts.values())
    marked = False
    for number in range(min(counts), max(counts) + 1):
        count = counts[number]
        start, end = number * width, (number + 1) * width - 1
        if start > limit and not marked:
            marked = True
            yield styled(f"{'─' * 12} sequence_length {limit} {'─' * 12}", "yellow")
        style = "red" if start > limit else "green"
        yield Text(f"{start:>6}–{end:<6}{count:>7,} ").append(bar(count / most, BAR_CELLS), style)


def _laid_out(pieces: Sequence[Piece], width: int, bounds: bool) -> Iterator[Text]:
    line, room = Text(no_wrap=True), width
    cut_told = False
    for number, piece in enumerate(pieces):
        if piece.beyond and not cut_told:
            cut_told = True
            yield line
            yield styled("── the sequence length ends here ──", "bold red")
            line, room = Text(no_wrap=True), width
        style = _style(piece, bounds and number % 2 == 1)
        if room < _first_width(piece) <= width:
            yield line
            line, room = Text(no_wrap=True), width
        for part, ends in _cut(_shown(piece), room, width):
            line.append(part, style)
            room -= cell_len(part)
            if ends:
                yield line.append("↵", "dim") if ends == "\n" else line
                line, room = Text(no_wrap=True), width
    yield line


def _first_width(piece: Piece) -> int:
    """Cells that the token takes up to its first line's end: it is not broken where it fits."""
    return cell_len(_shown(piece).partition("\n")[0])


def _cut(text: str, room: int, width: int) -> Iterator[tuple[str, str]]:
    """(part of the text, what ends the line after it: "\\n", "wrap" or nothing)."""
    part = ""
    for char in text:
        if char == "\n":
            yield part, "\n"
            part, room = "", width
            continue
        if cell_len(char) > room:
            yield part, "wrap"
            part, room = "", width
        part += char
        room -= cell_len(char)
    yield part, ""


def _style(piece: Piece, odd: bool) -> str:
    if piece.beyond:
        return BEYOND
    style = TRAINED if piece.trained else CONTEXT
    style = f"{style} {SPECIAL}" if piece.special else style
    return f"{style} underline" if odd else style


def _shown(piece: Piece) -> str:
    return visible(piece.text).replace("\t", "→   ")


def wrapped(text: str, width: int, style: str = "") -> list[Text]:
    """Text from outside in lines of that many characters."""
    lines = []
    for line in visible(text).replace("\t", "    ").split("\n"):
        cut = [line[at : at + width] for at in range(0, len(line), max(1, width))] or [""]
        lines += [styled(one, style) for one in cut]
    return lines
