"""What else a model might have said: each token of an answer with its probability and its rivals.

Probabilities are the model's own (temperature 1, nothing filtered), whatever the answer was drawn
with. The answer is read once more for it, so that writing one costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from workbench.inference.decoder import Decoder
from workbench.inference.logprobs import Given, answer_logits, excess, weight
from workbench.core.text import visible

Likely = tuple[str, float]  # a token's text, and its probability


@dataclass(frozen=True)
class Drawn:
    """A token of an answer: its text, how probable it was, the likeliest in its place first.

    The text of a token that is no whole character has a U+FFFD.
    """

    text: str
    probability: float
    likeliest: tuple[Likely, ...]

    @property
    def rivals(self) -> list[Likely]:
        """The likeliest without the token itself."""
        return [one for one in self.likeliest if one != (self.text, self.probability)]

    def __str__(self) -> str:
        """` 62.1%  ' river'   ' lake' 30.4%  ' sea' 4.0%`: safe to show, on one line."""
        rivals = "  ".join(f"{quoted(text)} {share:.1%}" for text, share in self.rivals)
        return f"{self.probability:6.1%}  {quoted(self.text):16}  {rivals}".rstrip()


def quoted(text: str) -> str:
    """The text visible on one line, its spaces and line breaks to be seen."""
    return "'" + visible(text).replace("\n", "\\n").replace("\t", "\\t") + "'"


def drawn(decoder: Decoder, given: Given, top: int, *, start: int = 0) -> Iterator[Drawn]:
    """Each token of the answer; `start` as of `answer_logits`. Raises Aborted."""
    model = decoder.model

    def text(token: int) -> str:
        return model.piece(token).decode(errors="replace")

    rows = answer_logits(decoder, given, start=start, abortable=True)
    for logits, token in zip(rows, given.answer, strict=True):
        whole = weight(logits)
        likeliest = [
            (text(one), math.exp(excess(logits, one)) / whole) for one in _highest(logits, top)
        ]
        yield Drawn(text(token), math.exp(excess(logits, token)) / whole, tuple(likeliest))


def _highest(logits: Any, count: int) -> list[int]:
    """The tokens with the highest logits, the highest first."""
    import numpy as np

    count = min(count, len(logits))
    found = np.argpartition(logits, -count)[-count:] if count else np.array([], int)
    return [int(token) for token in found[np.argsort(-logits[found], kind="stable")]]
