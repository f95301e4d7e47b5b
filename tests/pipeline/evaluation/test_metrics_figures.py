from typing import Any

import pytest

from workbench.pipeline.evaluation.metrics import case_metrics, compare, model_figures
from workbench.reports.cases import Case


def case(index: int, passed: bool | None = None, sample: int = 0, **other: Any) -> Case:
    about = {"place": "f:1", "category": "", "prompt": "p", "expected": "", "stopped": "stop"}
    return Case(index, sample, passed=passed, must_contain=("w",), **about | other)


def test_shares_are_over_prompts_not_over_answers() -> None:
    cases = [case(0, True, sample=n) for n in range(4)] + [
        case(1, n == 0, sample=n) for n in range(4)
    ]
    found = case_metrics(cases, 1)
    assert found.prompts == 2 and found.passed is not None
    assert found.passed.value == pytest.approx((1 + 0.25) / 2)
    assert found.pass_at == {1: pytest.approx(0.625), 4: pytest.approx(1.0)}


def test_what_was_not_measured_counts_in_no_share() -> None:
    found = case_metrics([case(0, True), case(1, problem="down")], 1)
    assert found.passed is not None and found.passed.value == 1.0 and found.passed.n == 1
    assert (found.prompts, found.not_measured) == (2, 1)
    assert found.stopped is not None and found.stopped.n == 1


def test_without_a_checker_there_is_no_passing_share() -> None:
    found = case_metrics([case(0), case(1, missing=("w",), stopped="length")], 1)
    assert found.passed is None and found.pass_at == {}
    assert found.adheres is not None and found.adheres.value == 0.5
    assert found.stopped is not None and found.stopped.value == 0.5


def test_categories_apart_are_not_in_the_headline() -> None:
    cases = [case(0, True, category="seen"), case(1, False, category="invented")]
    found = model_figures(cases, ["invented"], 1)
    assert found.headline.passed is not None and found.headline.passed.value == 1.0
    assert list(found.categories) == ["seen"] and list(found.apart) == ["invented"]
    assert found.apart["invented"].passed is not None
    assert found.apart["invented"].passed.value == 0.0


def test_two_models_are_compared_on_shared_prompts_and_first_samples() -> None:
    before = [case(0, False), case(1, True), case(2, False), case(3, False, problem="down")]
    after = [case(0, True), case(1, True), case(2, True), case(3, True), case(0, False, sample=1)]
    test = compare(before, after, 1)
    assert test is not None
    assert (test.only_second, test.only_first, test.both, test.neither) == (2, 0, 1, 0)
    assert compare([case(0)], after, 1) is None


def test_labels_have_figures_where_they_are_classes() -> None:
    def labels(n: int) -> tuple[tuple[str, str], ...]:
        level, one = ("difficulty", str(n % 3)), ("generation", f"g{n % 2}")
        return level, ("generation", "all"), one, ("id", str(n)), ("one", "x")

    cases = [case(n, n % 3 == 0, labels=labels(n)) for n in range(30)]
    left_out = case(0, True, category="apart", labels=(("difficulty", "9"),))
    found = model_figures([*cases, left_out], ["apart"], 1).labels
    assert {name: list(values) for name, values in found.items()} == {
        "difficulty": ["0", "1", "2"],
        "generation": ["all", "g0", "g1"],
    }
    assert [one.passed.value for one in found["difficulty"].values() if one.passed] == [1, 0, 0]
    assert found["generation"]["all"].prompts == 30 and found["generation"]["g1"].prompts == 15
