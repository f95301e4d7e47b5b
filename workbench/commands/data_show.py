"""`workbench data PATH --preset NAME --show N`: the tokens of a row, and which of them are trained.

Trained tokens are in bold green, or in ⟦brackets⟧ without colors. All text from the data passes
through `text.visible`: none of it becomes an escape sequence.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from workbench.core.errors import EXIT_DONE, UserError
from workbench.core.text import one_line, visible
from workbench.dataset.rows import Row
from workbench.tokenization.preview import PreviewToken, RowPreview


def run(args: argparse.Namespace) -> int:
    """Print row `args.show` as the preset `args.preset` sees it."""
    from workbench.commands.data_preset import source_options, split_keys
    from workbench.dataset.browse.record_library import SourceRequest, record_at
    from workbench.runner.preview import load_preview

    if not (args.path and args.preset):
        raise UserError(
            "--show needs PATH and --preset NAME", hint="tokenization depends on the model"
        )
    if args.show < 1:
        raise UserError(f"--show {args.show}: rows are numbered from 1")
    of_source, of_preset = split_keys(args.set, args.preset)
    source = SourceRequest(args.path, args.format, options=source_options(of_source))
    row = record_at(source, args.show)
    preview = load_preview(args.preset, of_preset)
    try:
        shown = preview.look(row)
    except UserError as error:
        place, hint = row.place, error.hint
        raise UserError(error.message, path=place.path, line=place.line, hint=hint) from None
    if args.json:
        print(json.dumps(to_json(row, shown, preview.preset), indent=2))
    else:
        print("\n".join(lines(row, shown, preview.preset, _colour())))
    return EXIT_DONE


def _colour() -> bool:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") in (None, "", "dumb")
    return sys.stdout.isatty() and not plain


TRAINED, CONTEXT, SPECIAL, BEYOND = "1;32", "2", "7", "31;9"
CUT = "──── sequence length limit ────"


def lines(row: Row, shown: RowPreview, preset: str, colour: bool) -> Iterator[str]:
    """A title, what should be known, the text with its mask, and a line for every token."""
    counts = f"{shown.tokens:,} of {shown.limit:,} tokens, {shown.trained:,} trained"
    yield f"{one_line(str(row.place), 400)}: {counts}, for preset {one_line(preset)}"
    yield from (f"! {one_line(line, 400)}" for line in shown.told)
    yield ""
    kept = [piece for piece in shown.pieces if not piece.beyond]
    beyond = [piece for piece in shown.pieces if piece.beyond]
    yield from _text(kept, colour)
    if beyond:
        yield CUT
        yield from _text(beyond, colour)
    yield ""
    yield from _table(shown, colour)


def to_json(row: Row, shown: RowPreview, preset: str) -> dict[str, Any]:
    """The same as plain values; a piece has several ids where only together they are text."""
    return {
        "path": row.place.path,
        "line": row.place.line,
        "preset": preset,
        "tokens": shown.tokens,
        "trained": shown.trained,
        "sequence_length": shown.limit,
        "told": list(shown.told),
        "pieces": [
            {
                "ids": list(piece.ids),
                "text": piece.text,
                "trained": piece.trained,
                "special": piece.special,
                "cut": piece.beyond,
            }
            for piece in shown.pieces
        ],
    }


def _text(pieces: list[PreviewToken], colour: bool) -> list[str]:
    found = []
    for piece_style, group in groupby(pieces, _style if colour else _bracket):
        text = visible("".join(piece.text for piece in group)).replace("\n", "↵\n")
        found.append(_painted(text, piece_style) if colour else _bracketed(text, piece_style))
    return "".join(found).split("\n")


def _table(shown: RowPreview, colour: bool) -> Iterator[str]:
    number = 0
    for piece in shown.pieces:
        flags = "trained" if piece.trained else "-"
        flags += " special" if piece.special else ""
        flags += " cut" if piece.beyond else ""
        for token in piece.ids:
            number += 1
            text = "…" if token is not piece.ids[-1] else _quoted(piece.text)
            shown_text = _painted(text, _style(piece)) if colour else text
            yield f"{number:>6} {token:>8}  {flags:16} {shown_text}"


def _quoted(text: str) -> str:
    return '"' + visible(text).replace("\n", "\\n").replace("\t", "\\t") + '"'


def _style(piece: PreviewToken) -> str:
    if piece.beyond:
        return BEYOND
    style = TRAINED if piece.trained else CONTEXT
    return f"{style};{SPECIAL}" if piece.special else style


def _bracket(piece: PreviewToken) -> str:
    return "⟦⟧" if piece.trained and not piece.beyond else ""


def _painted(text: str, style: str) -> str:
    """Every line of it in that style, so that no line ends with the terminal still painted."""
    painted = (f"\x1b[{style}m{line}\x1b[0m" if line else "" for line in text.split("\n"))
    return "\n".join(painted)


def _bracketed(text: str, brackets: str) -> str:
    return f"{brackets[0]}{text}{brackets[1]}" if brackets else text
