"""Styled lines, built and compared before they are drawn again; a widget's style, looked up once.

Textual gathers a widget's style from all ancestors at every access.
"""

from __future__ import annotations

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual.widget import Widget

from workbench.core.text import visible

_NARROW = frozenset(map(chr, (*range(0x20, 0x7F), *range(0xC0, 0x100)))) | set("…→·✗│▌")


def styled(text: str, style: str = "") -> Text:
    """The style lies on the characters: rich leaves a text's own style out when it has no spans."""
    return Text(no_wrap=True).append(text, style)


def same(one: Text, other: Text) -> bool:
    """Whether they look the same: characters, spans, and the style of the whole line."""
    return one == other and one.style == other.style


def fit(text: Text, width: int) -> None:
    """Bring the text to so many cells, in place: filled up, or cut with an ellipsis.

    As `Text.truncate` does it, which takes ten times as long for what most lines are made of.
    """
    plain = text.plain
    if not _NARROW.issuperset(plain):
        text.truncate(width, overflow="ellipsis", pad=True)
    elif len(plain) > width:
        text.plain = plain[: width - 1] + "…"
    else:
        text.pad_right(width - len(plain))


def wrapped(text: str, width: int, style: str) -> list[Text]:
    """Words kept whole where they fit; spaces at the beginning of a line stay."""
    lines: list[Text] = []
    for line in visible(text).replace("\t", "    ").split("\n"):
        lines += [styled(part, style) for part in _broken(line, max(8, width))]
    return lines


def _broken(line: str, width: int) -> list[str]:
    parts = []
    while cell_len(line) > width:
        end = _fitting(line, width)
        space = line.rfind(" ", 0, end + 1)
        end = space if space > width // 2 else end
        parts.append(line[:end])
        line = line[end:].lstrip(" ") if space == end else line[end:]
    return [*parts, line]


def _fitting(line: str, width: int) -> int:
    """How many characters fit into so many cells; at least one."""
    if line.isascii():
        return width
    cells = 0
    for number, char in enumerate(line):
        cells += cell_len(char)
        if cells > width:
            return max(1, number)
    return len(line)


class CachedStyle(Widget):
    """Base of the widgets that make their lines themselves and need the style for every line."""

    _own_style: Style | None = None

    @property
    def own_style(self) -> Style:
        """As `rich_style`."""
        if self._own_style is None:
            self._own_style = self.rich_style
        return self._own_style

    def notify_style_update(self) -> None:
        self._own_style = None
        super().notify_style_update()
