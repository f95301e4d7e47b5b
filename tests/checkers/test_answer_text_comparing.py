"""chrF against sacreBLEU 2.6.0 (`CHRF().sentence_score(h, [r]).score / 100`); words looked for."""

from __future__ import annotations

import pytest

from workbench.checkers.answer_text import chrf, missing_words

SACREBLEU = [
    ("The cat sat on the mat.", "The cat sat on a mat.", 0.7142247563033848),
    ("abc", "abcd", 0.6886227544910178),
    ("ab", "abcdefgh", 0.23404255319148937),
    ("aaaa", "aa", 0.7812499999999999),
    ("Größe der Tür", "Die Größe einer Tür", 0.36924368858389295),
    ("xyz", "abc", 0.0),
    ("def f(x):\n  return x + 1", "def g(x):\n    return x - 1\n", 0.6514849529555411),
    ("same", "same", 1.0),
]


@pytest.mark.parametrize(("answer", "expected", "score"), SACREBLEU)
def test_chrf_is_sacrebleu_s(answer: str, expected: str, score: float) -> None:
    assert chrf(answer, expected) == pytest.approx(score, abs=1e-12)


def test_nothing_is_like_nothing() -> None:
    assert chrf("", "abc") == chrf("abc", "") == chrf(" ", "\n") == 0.0


def test_words_count_as_identifiers_of_their_own() -> None:
    code = "def LoanMessage(loan) { username loans 'due-date' a.b(c) }"
    assert missing_words(code, ["LoanMessage", "loan", "due-date", "a.b(c)"]) == []
    assert missing_words(code, ["name", "Message", "oan"]) == ["name", "Message", "oan"]
    assert missing_words(code, []) == []
