"""Dots in character cells: 2 by 4 braille dots a cell, or half blocks where braille is missing.

`glyphs` says which: the character of each pattern of eight dots.

A terminal has one colour a cell: a line drawn later gives the cell its colour, and clears the
dots of a mere background below it, so that a curve's average stands out from the curve.
"""

from __future__ import annotations

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
BRAILLE = " " + "".join(chr(0x2800 + bits) for bits in range(1, 256))
UPPER, LOWER = 0x1B, 0xE4  # the dots of the upper and of the lower half
BLOCKS = "".join(" ▀▄█"[bool(bits & UPPER) + 2 * bool(bits & LOWER)] for bits in range(256))
WITHOUT_BRAILLE = ("linux", "vt100", "vt220")  # the fonts of a console


def glyphs_for(marks: str, term: str) -> str:
    """The characters for `marks` ("dots" or "blocks"), or what a terminal of that kind can show."""
    if not marks:
        return BLOCKS if term in WITHOUT_BRAILLE else BRAILLE
    return BLOCKS if marks == "blocks" else BRAILLE


class Canvas:
    """`width` by `height` cells; dots have (0, 0) at the top left."""

    def __init__(self, width: int, height: int, backgrounds: frozenset[int] = frozenset()) -> None:
        self.width, self.height = width, height
        self._backgrounds = backgrounds
        self.dots_wide, self.dots_high = width * 2, height * 4
        self._bits = [[0] * width for _ in range(height)]
        self._layers = [[-1] * width for _ in range(height)]

    def column(self, x: int, top: int, bottom: int, layer: int) -> None:
        """Set the dots from `top` to `bottom` of one column of dots; outside is cut off."""
        if not 0 <= x < self.dots_wide:
            return
        cell, side = x >> 1, x & 1
        for y in range(max(0, top), min(self.dots_high - 1, bottom) + 1):
            row = y >> 2
            below = self._layers[row][cell]
            if below != layer:
                if below in self._backgrounds:
                    self._bits[row][cell] = 0
                self._layers[row][cell] = layer
            self._bits[row][cell] |= DOTS[y & 3][side]

    def line(self, x0: int, y0: int, x1: int, y1: int, layer: int) -> None:
        """A straight line between two dots, `x0 <= x1`, without its first column of dots."""
        wide = x1 - x0
        previous = y0
        for step in range(1, wide + 1):
            y = y0 + round((y1 - y0) * step / wide)
            self.column(x0 + step, min(previous, y), max(previous, y), layer)
            previous = y

    def row(self, y: int, glyphs: str = BRAILLE) -> list[tuple[str, int]]:
        """A row of cells as runs of the same layer: `(characters, layer)`, -1 where it is empty."""
        runs: list[tuple[str, int]] = []
        text, current = "", -1
        for bits, layer in zip(self._bits[y], self._layers[y], strict=True):
            if layer != current and text:
                runs.append((text, current))
                text = ""
            current = layer
            text += glyphs[bits]
        return [*runs, (text, current)] if text else runs
