"""What newly passes and fails: paired by what was asked, counted as the report counts."""

from __future__ import annotations

import random

import pytest

from tests.reports.helpers import case
from workbench.reports.cases import Case
from workbench.reports.evaluation_changes import compare_cases


def test_prompts_are_paired_by_what_they_say_not_by_their_number() -> None:
    before = [case(0, True, prompt="a"), case(1, False, prompt="b"), case(2, prompt="gone")]
    now = [case(5, True, prompt="b"), case(6, False, prompt="a"), case(7, prompt="new")]
    found = compare_cases(now, before)
    assert [found.changes[one.key] for one in now] == [
        "newly passing",
        "newly failing",
        "not comparable",
    ]
    assert found.before[now[0].key] is before[1] and now[2].key not in found.before
    assert found.gone == 1
    assert found.sentence == (
        "1 newly pass, 1 newly fail on 2 shared prompts; p = 1.0000 "
        "(exact McNemar test); 1 not comparable; 1 only in the earlier evaluation"
    )


def test_the_same_words_after_another_beginning_are_another_prompt() -> None:
    first = case(0, False, earlier=(("system", "be brief"),))
    assert compare_cases([case(0)], [first]).changes == {("", 0, 0): "not comparable"}


def test_a_prompt_that_stands_there_twice_is_paired_in_order() -> None:
    before = [case(0, True, prompt="a"), case(1, False, prompt="a")]
    now = [case(0, True, prompt="a"), case(1, True, prompt="a")]
    assert list(compare_cases(now, before).changes.values()) == ["as before", "newly passing"]


@pytest.mark.parametrize("given", [{"problem": "down"}, {"passed": None}])
def test_what_was_not_judged_is_not_comparable(given: dict[str, object]) -> None:
    for now, before in (([case(0)], [case(0, **given)]), ([case(0, **given)], [case(0)])):  # type: ignore[arg-type]
        assert set(compare_cases(now, before).changes.values()) == {"not comparable"}


def test_guards_samples_and_what_is_apart_count_in_no_figure_but_are_told() -> None:
    more: list[dict[str, object]] = [{"guard": "g"}, {"sample": 1}, {"category": "apart"}]
    before = [case(0, False), *(case(0, False, **given) for given in more)]  # type: ignore[arg-type]
    now = [case(0, True), *(case(0, True, **given) for given in more)]  # type: ignore[arg-type]
    # the one apart says what the first says: it is its second asking in both
    found = compare_cases(now, before, apart=["apart"])
    assert found.counts["newly passing"] == 1
    assert set(found.changes.values()) == {"newly passing"} and len(found.changes) == 3


def test_counts_agree_with_a_count_by_hand() -> None:
    draw = random.Random(7)

    def some(n: int) -> list[Case]:
        prompts = [f"p{number}" for number in draw.sample(range(60), n)]
        verdicts = [True, False, None]
        return [case(k, draw.choice(verdicts), prompt=p) for k, p in enumerate(prompts)]

    for _ in range(50):
        now, before = some(40), some(40)
        old = {one.prompt: one.passed for one in before}
        pairs = [(one.passed, old.get(one.prompt)) for one in now]
        found = compare_cases(now, before)
        assert found.counts["newly passing"] == pairs.count((True, False))
        assert found.counts["newly failing"] == pairs.count((False, True))
        assert found.counts["as before"] == pairs.count((True, True)) + pairs.count((False, False))
        assert sum(found.counts.values()) == len(now)
        assert found.gone == len(old.keys() - {one.prompt for one in now})
