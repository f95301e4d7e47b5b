import pytest

from tests.pipeline.evaluation.helpers import row
from workbench.pipeline.evaluation.judging import Guard, guard_result
from workbench.pipeline.evaluation.result import verdict_of
from workbench.reports.cases import Case

ROWS = tuple(row(str(n)) for n in range(20))


def cases(n_passed: int, n: int = 20) -> list[Case]:
    return [Case(i, 0, "f:1", "", "p", "", passed=i < n_passed) for i in range(n)]


@pytest.mark.parametrize(
    ("before", "after", "kept"), [(12, 11, True), (12, 10, False), (12, 20, True), (12, 12, True)]
)
def test_a_loss_up_to_the_limit_is_allowed(before: int, after: int, kept: bool) -> None:
    guard = Guard("python", ROWS, max_drop=0.05)
    result = guard_result(guard, cases(before), cases(after))
    assert result.kept is kept
    assert result.drop == pytest.approx((before - after) / 20)


def test_the_verdict_names_what_was_lost_in_words() -> None:
    guard = Guard("python", ROWS)
    good, bad = guard_result(guard, cases(12), cases(12)), guard_result(guard, cases(12), cases(3))
    passed, words = verdict_of([good, bad])
    assert not passed
    assert words == (
        "Guards failed: python: FAILED, 60% before, 15% after on 20 prompts (maximum drop 5%)."
    )
    assert verdict_of([good]) == (True, f"All guards passed: {good.sentence}.")
    assert verdict_of([])[0]


def test_what_could_not_be_measured_is_not_kept() -> None:
    result = guard_result(Guard("python", ROWS), [], cases(3))
    assert not result.kept and "not measured" in result.sentence


def test_without_a_checker_the_words_asked_for_decide() -> None:
    def said(missing: tuple[str, ...]) -> list[Case]:
        return [Case(0, 0, "f:1", "", "p", "", must_contain=("w",), missing=missing)]

    assert not guard_result(Guard("words", ROWS[:1]), said(()), said(("w",))).kept
    assert guard_result(Guard("words", ROWS[:1]), said(()), said(())).kept
