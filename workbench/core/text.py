"""Text from outside (data sets, models, file names) made safe and short for a person to read.

Invariant: what `visible` returns holds no escape sequence, control byte or bidi override, so it
can be written to any terminal. Widgets get it with `markup=False` besides.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

CELL_WIDTH = 60
LAST_CELL_WIDTH = 400


def visible(text: str) -> str:
    """`text`; what cannot be printed (newline and tab apart) is escaped as in a Python string."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _escape(c) for c in text)


def one_line(text: str, width: int = 80) -> str:
    """`text` visible, on one line, cut with an ellipsis to at most `width` characters."""
    flat = " ".join(visible(text).split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"


def table(rows: Sequence[Sequence[str]], width: int = CELL_WIDTH) -> list[str]:
    """One line a row; the last column is not padded. Cells are made visible and cut."""
    cells = [
        [*(one_line(cell, width) for cell in row[:-1]), one_line(row[-1], LAST_CELL_WIDTH)]
        for row in rows
    ]
    columns = range(len(rows[0])) if rows else range(0)
    spans = [max(len(row[n]) for row in cells) for n in columns]
    padded = ([cell.ljust(span) for cell, span in zip(row, spans, strict=True)] for row in cells)
    return ["  ".join(row).rstrip() for row in padded]


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """`did you mean 'x'?` for the nearest allowed word, or the list of them if none is near."""
    names = sorted(allowed)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean '{near[0]}'?"
    return "use " + ", ".join(names) if names else ""


def quantity(count: int, noun: str) -> str:
    """`1 row`, `1,250 rows`, `2 batches`: the noun in the plural unless there is one of it."""
    ending = "es" if noun.endswith(("s", "x", "ch", "sh")) else "s"
    return f"{count:,} {noun}{'' if count == 1 else ending}"


def listed(names: Sequence[str], shown: int = 3) -> str:
    """`a, b, c and 4 more`."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more:,} more" if more > 0 else "")


def duration(seconds: float) -> str:
    """`75` as `1:15`, `3675` as `1:01:15`; negative counts as zero."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def size(n_bytes: float) -> str:
    """`1536` as `1.5 KiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n_bytes < 1024 or unit == "GiB":
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1024
    raise AssertionError("unreachable")


def _escape(c: str) -> str:
    code = ord(c)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def special_pattern(names: Iterable[str]) -> re.Pattern[str] | None:
    """Finds any of the names in a text, the longest first; one character alone is no name."""
    found = sorted((name for name in names if len(name) > 1), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, found))) if found else None
