"""The screen as text and styles on a page that a person can review, and the difference of two.

A page has the rows of text once, and for every theme the styles of each row as runs of cells
(`12aB3k 68x0Qz`), with the styles' names at the end. A style's short name is made of the style
alone, so a new one renames no other. Rows that are styled alike follow each other as `3-7`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.style import Style

from workbench.tui.app import WorkbenchApp

SHORT = 4
MAX_TOLD = 12


@dataclass(frozen=True)
class Look:
    """What is on the screen in one theme: rows of text, and of each row its runs of styles."""

    rows: tuple[str, ...]
    styles: tuple[tuple[tuple[int, str], ...], ...]


def look(app: WorkbenchApp) -> Look:
    """The screen as it is now."""
    rows, styles = [], []
    for strip in app.screen._compositor.render_strips():
        rows.append(strip.text.rstrip())
        runs: list[tuple[int, str]] = []
        for segment in strip:
            name = style_name(segment.style or Style())
            cells = segment.cell_length
            if runs and runs[-1][1] == name:
                runs[-1] = (runs[-1][0] + cells, name)
            elif cells:
                runs.append((cells, name))
        styles.append(tuple(runs))
    return Look(tuple(rows), tuple(styles))


def style_name(style: Style) -> str:
    """What is to be seen of a style; links and the like are not."""
    marks = ("bold", "dim", "italic", "underline", "strike", "reverse", "blink")
    words = [mark for mark in marks if getattr(style, mark)]
    colour = style.color.name if style.color else "default"
    ground = style.bgcolor.name if style.bgcolor else "default"
    return " ".join([*words, colour, "on", ground])


def page(looks: Mapping[str, Look], same_text: bool = True) -> str:
    """The page of a screen in several themes, which differ in their styles, else in text too."""
    rows = next(iter(looks.values())).rows
    lines = [*rows]
    for theme, one in looks.items():
        other = [(old, new) for old, new in zip(rows, one.rows, strict=True) if old != new]
        assert not (other and same_text), f"the theme {theme} changes the text: {other[0]}"
        lines += [f"== text in {theme}", *one.rows] if other else []
        names = sorted({name for runs in one.styles for _, name in runs})
        short = {name: hashlib.sha1(name.encode()).hexdigest()[:SHORT] for name in names}
        assert len(set(short.values())) == len(names), "two styles share a short name"
        lines.append(f"== {theme}")
        lines += _rows(one.styles, short)
        lines += [f"{short[name]} = {name}" for name in names]
    return "\n".join(lines) + "\n"


def differences(stored: str, seen: str, where: str) -> list[str]:
    """What differs, each line with the place of the page, the theme and the row."""
    found = []
    for (section, before), (_, after) in zip(_sections(stored), _sections(seen), strict=True):
        for number, old, new in _pairs(before, after):
            if old != new:
                place = f"{where}, {section or 'text'}, line {number}"
                found += [f"{place}:", f"  - {old}", f"  + {new}"]
    if len(found) > 3 * MAX_TOLD:
        more = len(found) // 3 - MAX_TOLD
        found = [*found[: 3 * MAX_TOLD], f"{where}: {more} more lines differ"]
    return found


def _rows(styles: Sequence[tuple[tuple[int, str], ...]], short: Mapping[str, str]) -> Iterator[str]:
    first = 0
    for number in range(1, len(styles) + 1):
        if number == len(styles) or styles[number] != styles[first]:
            rows = f"{first + 1}" if number == first + 1 else f"{first + 1}-{number}"
            yield f"{rows}: " + " ".join(f"{cells}{short[name]}" for cells, name in styles[first])
            first = number


def _sections(text: str) -> list[tuple[str, list[str]]]:
    """The rows, then each theme's lines, by the theme's name."""
    found: list[tuple[str, list[str]]] = [("", [])]
    for line in text.splitlines():
        if line.startswith("== "):
            found.append((line[3:], []))
        else:
            found[-1][1].append(line)
    return found


def _pairs(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    for number in range(max(len(before), len(after))):
        old = before[number] if number < len(before) else "(nothing)"
        new = after[number] if number < len(after) else "(nothing)"
        yield number + 1, old, new
