"""The text of an answer: the code block that a checker judges, comparison, and a search for words.

Pure functions, linear in the lengths of the texts. Fences are those of CommonMark (section 4.5):
three or more backticks or tildes, indented by at most three spaces, closed by at least as many of
the same; an unclosed fence reaches to the end.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

CHRF_ORDER = 6
CHRF_BETA = 2


def missing_words(text: str, words: Sequence[str]) -> list[str]:
    """Which of `words` do not stand in `text` as (the beginning of) an identifier of its own.

    A letter before the word spoils it (`name` is not in `username`), one after it does not
    (`loan` is in `loans`).
    """
    return [word for word in words if not re.search(rf"(?<![A-Za-z]){re.escape(word)}", text)]


def chrf(answer: str, expected: str) -> float:
    """chrF2 of one answer, 0 to 1: the F-score (recall counts twice) of shared character n-grams.

    Popović 2015, https://aclanthology.org/W15-3049: n from 1 to 6, white space left out, precision
    and recall averaged over the lengths of which both texts have n-grams (as sacreBLEU does it).
    """
    first, second = "".join(answer.split()), "".join(expected.split())
    longest = min(CHRF_ORDER, len(first), len(second))
    shares = [_shared(first, second, n) for n in range(1, longest + 1)]
    if not shares:
        return 0.0
    precision, recall = (sum(side) / len(shares) for side in zip(*shares, strict=True))
    weight = CHRF_BETA**2
    divisor = weight * precision + recall
    return (1 + weight) * precision * recall / divisor if divisor else 0.0


def _shared(first: str, second: str, n: int) -> tuple[float, float]:
    """Precision and recall of the n-grams of `first` against those of `second`."""
    mine, theirs = _ngrams(first, n), _ngrams(second, n)
    both = sum((mine & theirs).values())
    return both / mine.total(), both / theirs.total()


def _ngrams(text: str, n: int) -> Counter[str]:
    return Counter(text[at : at + n] for at in range(len(text) - n + 1))


Extract = Literal["all", "code-block", "code-block-or-all"]
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")


def extract(answer: str, how: Extract | str) -> str:
    """The whole answer, or its first code block; `""` where `code-block` finds none."""
    if how == "all":
        return answer
    found = first_code_block(answer)
    if found is None:
        return answer if how == "code-block-or-all" else ""
    return found


def first_code_block(answer: str) -> str | None:
    """What stands in the first fenced block, without the fences; None where there is none."""
    lines = answer.splitlines(keepends=True)
    for number, line in enumerate(lines):
        opening = _FENCE.fullmatch(line.rstrip("\r\n"))
        if opening and not ("`" in opening[2] and opening[1][0] == "`"):
            indent = len(line) - len(line.lstrip(" "))
            return "".join(_inside(lines[number + 1 :], opening[1], indent))
    return None


def _inside(lines: list[str], fence: str, indent: int) -> list[str]:
    found = []
    for line in lines:
        closing = _FENCE.fullmatch(line.rstrip("\r\n"))
        if closing and closing[1].startswith(fence) and not closing[2].strip():
            break
        own = len(line) - len(line.lstrip(" "))
        found.append(line[min(indent, own) :])
    return found
