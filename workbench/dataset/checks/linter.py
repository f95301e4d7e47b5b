"""Suspicious rows: findings about rows that can be read, none of them fatal.

A `Linter` sees each row once and keeps about forty bytes of it, so that a million rows can stream
past. What one row shows is reported at once; what only all rows show (duplicates, contradictions,
lengths) after the last one. Near duplicates need the texts, see `repeated_rows`.

A row that is far longer or shorter than the others often holds two examples, or a fragment of one.
Far means an outlier in Tukey's sense: beyond three interquartile ranges, measured on the logarithm
of the length, as lengths of texts vary by factors; and by a factor of at least four.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from math import exp, log

from workbench.core.text import one_line, special_pattern
from workbench.dataset.checks import confusables
from workbench.dataset.checks.repeated_rows import DuplicateTracker
from workbench.dataset.duplicates import HEAD_END, key_parts
from workbench.dataset.rows import ASSISTANT, Fault, Row

MIN_ROWS = 30
FENCES = 3.0
MIN_FACTOR = 4.0


def fences(lengths: Sequence[int]) -> tuple[float, float]:
    """(shortest, longest) length that is ordinary; everything is, among few rows."""
    if len(lengths) < MIN_ROWS:
        return 0.0, float("inf")
    ordered = sorted(lengths)
    low, middle, high = (log(max(1, ordered[len(ordered) * q // 4])) for q in (1, 2, 3))
    reach = FENCES * (high - low)
    shortest = min(low - reach, middle - log(MIN_FACTOR))
    longest = max(high + reach, middle + log(MIN_FACTOR))
    return exp(shortest), exp(longest)


# Names that the usual chat formats give to control tokens; a tokenizer's own are better, if known.
USUAL_SPECIAL = (
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<|eot_id|>",
    "<|begin_of_text|>",
    "<|start_header_id|>",
    "[INST]",
    "[/INST]",
    "<eos>",
    "<bos>",
)
_LOOK_HINTS = {
    "look-alike": "use the Latin letter",
    "zero-width": "remove it",
    "bidi": "remove it",
    "hard-space": "use a plain space unless it is intended",
}


class Linter:
    """Looks at rows one after the other; then `together` tells what only all of them show."""

    def __init__(
        self, special: Iterable[str] = USUAL_SPECIAL, held_out: Iterable[Row] = ()
    ) -> None:
        names = [name for name in special if len(name) > 1]
        pattern = special_pattern(names)
        self._special = pattern.search if pattern else lambda text: None
        self._firsts = sorted({name[0] for name in names})
        self._repeats = DuplicateTracker(held_out)
        self._lengths = array("q")  # documents' below zero: they are measured among themselves

    def look(self, row: Row) -> list[Fault]:
        """What is suspicious in this row alone, or in it and the held-out rows."""
        said = row.said()
        parts, prompt, opening = key_parts(row, said)
        length = sum(map(len, parts))
        found = self._in_text(row, said)
        if row.messages:
            self._lengths.append(length)
            found += _in_turns(row, parts, prompt)
        else:
            self._lengths.append(-length)
        held = self._repeats.add(row, parts, prompt, opening)
        if held:
            what = f"same opening prompt as {held}, which is held out"
            found.append(_told(row, "leak", what, "training skips it"))
        return found

    def together(self) -> Iterator[Fault]:
        """Repeats, contradictions and lengths out of the ordinary, in this order."""
        yield from self._repeats.findings()
        chats, texts = (fences([s * n for n in self._lengths if s * n > 0]) for s in (1, -1))
        for number, signed in enumerate(self._lengths):
            length, (shortest, longest) = abs(signed), chats if signed > 0 else texts
            if not shortest <= length <= longest:
                what = f"{length:,} bytes; nearly all rows have {shortest:,.0f} to {longest:,.0f}"
                place = self._repeats.place(number)
                yield Fault(place, "length", what, "is it one example?", fatal=False)

    def _in_text(self, row: Row, said: Sequence[str]) -> list[Fault]:
        found = []
        if name := self._special_in(said):
            what = f"the text contains the special token's name '{one_line(name)}'"
            found.append(_told(row, "special-token", what, "it is encoded as plain text"))
        for text in said:
            if not text.isascii() and (odd := confusables.find_confusables(text)):
                found.append(_told(row, *odd, _LOOK_HINTS[odd[0]]))
                break
        return found

    def _special_in(self, texts: Iterable[str]) -> str:
        """The first control token's name in `texts`; most are told by their characters."""
        for text in texts:
            for first in self._firsts:
                if first in text:
                    if found := self._special(text):
                        return found[0]
                    break
        return ""


def lint(rows: Iterable[Row], special: Iterable[str] = USUAL_SPECIAL) -> list[Fault]:
    """All that is suspicious: in the order of the rows, then what they show together."""
    linter = Linter(special)
    faults = [fault for row in rows for fault in linter.look(row)]
    return faults + list(linter.together())


def _in_turns(row: Row, parts: list[bytes], prompt: int) -> list[Fault]:
    for message in row.messages:
        if message.train and message.role == ASSISTANT:
            break
    else:
        return [_told(row, "nothing-trained", "no response is trained")]
    if 0 < prompt < len(parts):
        asked, said = parts[prompt - 1], parts[prompt]
        if asked[-1:] == said[-1:] and asked.partition(HEAD_END)[2] == said.partition(HEAD_END)[2]:
            return [_told(row, "echo", "the response repeats the prompt")]
    return []


def _told(row: Row, code: str, message: str, hint: str = "") -> Fault:
    return Fault(row.place, code, message, hint, fatal=False)
