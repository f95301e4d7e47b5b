"""A row in lines of text: its tokens as training sees them, or its messages without tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rich.cells import cell_len
from rich.text import Text

from workbench.core.text import one_line, visible
from workbench.dataset.rows import Fault, Place, Row
from workbench.tokenization.preview import PreviewToken, RowPreview
from workbench.tui.panes.data.scan_results import SIGN_STYLES, sign
from workbench.tui.styled_text import styled, wrapped

TRAINED, CONTEXT, SPECIAL, BEYOND = "bold green", "dim", "reverse", "red strike"
TRAINED_EDGE, EDGE = "▌ ", "  "
MAX_CHARS = 20_000


def token_lines(
    row: Row, shown: RowPreview, width: int, bounds: bool, notes: Sequence[str] = ()
) -> list[Text]:
    """The tokens laid out: trained ones bold with a bar beside their lines, control tokens
    reversed, cut ones struck out; then what else is known of the row."""
    lines = [styled(f"! {one_line(line, 300)}", "yellow") for line in [*notes, *shown.told]]
    return lines + list(_laid_out(shown.pieces, width - len(EDGE), bounds)) + _facts(row, width)


def plain_lines(row: Row, width: int, notes: Sequence[str]) -> list[Text]:
    """The row's messages as they stand in the file, where there are no tokens to show."""
    lines = [styled(f"! {one_line(line, 300)}", "yellow") for line in notes if line]
    left = MAX_CHARS
    for message in row.messages:
        note = "" if message.train or message.role != "assistant" else " (not trained)"
        lines.append(styled(f"{one_line(message.role)}{note}", "bold"))
        style = TRAINED if message.role == "assistant" else ""
        lines += wrapped(message.said[:left], width, style)
        left -= min(left, len(message.said))
    lines += wrapped(row.text[:MAX_CHARS], width, "") if row.text else []
    return lines + _facts(row, width)


def _facts(row: Row, width: int) -> list[Text]:
    """What the row says of itself beside its text, a line each."""
    facts = [("category", row.category), ("difficulty", row.difficulty)]
    facts += [("tags", ", ".join(row.tags)), *row.labels]
    facts.append(("must contain", ", ".join(row.must_contain)))
    facts.append(("tools", ", ".join(_tool_name(tool) for tool in row.tools)))
    told = [f"{name}: {value}" for name, value in facts if value]
    return [styled(one_line(line, max(width, 20)), "dim") for line in told]


def _tool_name(tool: dict[str, object]) -> str:
    function = tool.get("function")
    return str(function.get("name", "?")) if isinstance(function, dict) else "?"


def finding_line(fault: Fault) -> Text:
    """`✗ file:line: message (hint)`; the folder stands elsewhere."""
    mark = sign(fault)
    short = replace(fault, place=Place(Path(fault.place.path).name, fault.place.line))
    told = str(short).replace(f"{Path(fault.place.path).parent}/", "")
    return Text(no_wrap=True).append(f"{mark} ", SIGN_STYLES[mark]).append(told)


def _laid_out(pieces: Sequence[PreviewToken], width: int, bounds: bool) -> Iterator[Text]:
    """The tokens in lines; a token is not broken where it fits into a line of its own."""
    page = _Page(width)
    cut_told = False
    for number, piece in enumerate(pieces):
        if piece.beyond and not cut_told:
            cut_told = True
            page.end()
            page.lines.append(styled("── sequence length limit ──", "bold red"))
        style = _style(piece, bounds and number % 2 == 1)
        if page.room < _first_width(piece) <= width:
            page.end()
        for part, ends in _cut(_shown(piece), page.room, width):
            page.add(part, style, piece.trained and not piece.beyond)
            if ends:
                page.end("↵" if ends == "\n" else "")
    page.end()
    return iter(page.lines)


class _Page:
    """Lines of tokens that grow at their end, each with an edge that tells what is trained.

    Tokens of one style that follow each other are one piece of the line: a frame is then a tenth
    of the segments, and a remote terminal gets a tenth of the bytes.
    """

    def __init__(self, width: int) -> None:
        self.lines: list[Text] = []
        self.width = self.room = width
        self._parts: list[tuple[str, str]] = []  # (text, style), neighbours differ in style
        self._trained = False

    def add(self, text: str, style: str, trained: bool) -> None:
        if self._parts and self._parts[-1][1] == style:
            text_before, _ = self._parts.pop()
            self._parts.append((text_before + text, style))
        elif text:
            self._parts.append((text, style))
        self._trained = self._trained or (trained and bool(text))
        self.room -= cell_len(text)

    def end(self, sign: str = "") -> None:
        """Go on in a new line."""
        line = styled(TRAINED_EDGE, "green") if self._trained else styled(EDGE)
        for text, style in self._parts:
            line.append(text, style)
        self.lines.append(line.append(sign, "dim"))
        self._parts, self._trained, self.room = [], False, self.width


def _first_width(piece: PreviewToken) -> int:
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


def _style(piece: PreviewToken, odd: bool) -> str:
    if piece.beyond:
        return BEYOND
    style = TRAINED if piece.trained else CONTEXT
    style = f"{style} {SPECIAL}" if piece.special else style
    return f"{style} underline" if odd else style


def _shown(piece: PreviewToken) -> str:
    return visible(piece.text).replace("\t", "→   ")
