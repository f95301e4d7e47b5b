"""Expected answers weighed once each, kept on disk, and told as a perplexity."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from tests.pipeline.evaluation.helpers import Parrot, row
from tests.reports.helpers import case, write
from workbench.core.errors import Interrupted
from workbench.dataset.rows import Message
from workbench.pipeline.evaluation.answer_store import (
    expected_of,
    score_expected_answers,
    with_expected_losses,
)
from workbench.pipeline.evaluation.metrics import case_metrics, perplexity
from workbench.pipeline.evaluation.questions import ExpectedLoss
from workbench.pipeline.evaluation.report_writer import OTHER_TOKENS, as_markdown

ROWS = [row("a", "one two"), row("b", ""), row("c", "three four five"), row("d", "?")]


def weigh(parrot: Parrot, path: Path, stop_after: int = 10**6, context: int = 99):
    polls = iter(range(10**7))
    found = expected_of(ROWS)
    return score_expected_answers(
        parrot, found, context, path, should_stop=lambda: next(polls) >= stop_after
    )


def parrot() -> Parrot:
    return Parrot(lambda question: "x")


def test_rows_without_an_answer_have_nothing_to_weigh() -> None:
    assert [one.index for one in expected_of(ROWS)] == [0, 2, 3]
    longer = replace(ROWS[0], messages=(*ROWS[0].messages, Message("user", "and?")))
    (one,) = expected_of([longer])
    assert one.messages == ROWS[0].messages, "up to the last answer"


def test_each_is_weighed_once_and_problems_again(tmp_path: Path) -> None:
    path, first, second = tmp_path / "w" / "m.jsonl", parrot(), parrot()
    found = weigh(first, path)
    assert (
        found[0] == ExpectedLoss(0, 2, 1.0)
        and found[2] == ExpectedLoss(2, 3, 1.5)
        and found[3].problem
    )
    assert weigh(second, path) == found and second.weighed == [3]
    other = parrot()
    weigh(other, path, context=50)
    assert other.weighed == [0, 2, 3], "another context: other answers fit"


def test_an_interruption_keeps_what_was_weighed(tmp_path: Path) -> None:
    path, rest = tmp_path / "m.jsonl", parrot()
    with pytest.raises(Interrupted, match="after 1 of 3 expected responses"):
        weigh(parrot(), path, stop_after=1)
    path.write_bytes(path.read_bytes() + b'{"index": 2, "n_tok')
    assert weigh(rest, path)[2].n_tokens == 3 and rest.weighed == [2, 3]


def test_the_first_sample_of_a_prompt_has_the_weight() -> None:
    cases = [case(0), case(0, sample=1), case(1), case(2)]
    weighed = {0: ExpectedLoss(0, 4, 2.0), 2: ExpectedLoss(2, problem="too long")}
    found = with_expected_losses(cases, weighed)
    assert [one.expected_tokens for one in found] == [4, 0, 0, 0]
    assert found[0].perplexity == pytest.approx(math.exp(0.5)) and found[1].perplexity is None
    told = case_metrics(found, 1)
    assert told.perplexity and told.perplexity.value == pytest.approx(math.exp(0.5))
    assert told.perplexity.n == 1 and told.expected_tokens == 4


def test_every_token_counts_alike() -> None:
    """100 tokens of 1 nat and 1 token of 5: exp(105 / 101), not the mean of two answers."""
    found = perplexity([100.0, 5.0], [100, 1], seed=1)
    assert found.value == pytest.approx(math.exp(105 / 101))
    assert found.low == pytest.approx(math.e) and found.high == pytest.approx(math.exp(5))
    assert perplexity([1e6], [1], seed=1).value < math.inf


def test_other_tokens_do_not_compare(tmp_path: Path) -> None:
    cases = with_expected_losses([case(0)], {0: ExpectedLoss(0, 4, 2.0)})
    others = with_expected_losses([case(0)], {0: ExpectedLoss(0, 7, 2.0)})
    same = as_markdown(write(tmp_path / "1", {"base": cases, "tuned": cases}))
    assert "perplexity of expected responses" in same and OTHER_TOKENS not in same
    assert OTHER_TOKENS in as_markdown(write(tmp_path / "2", {"base": others, "tuned": cases}))
    without = as_markdown(write(tmp_path / "3", {"base": [case(0)], "tuned": cases}))
    assert OTHER_TOKENS not in without
