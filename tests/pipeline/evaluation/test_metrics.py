import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.pipeline.evaluation.metrics import (
    estimate,
    ks_for,
    paired_test,
    pass_at_k,
)
from workbench.reports.evaluation_report import mcnemar_exact


@settings(deadline=None)
@given(st.integers(1, 7), st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_passing_answer(
    n: int, data: st.DataObject
) -> None:
    passed, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    answers = [True] * passed + [False] * (n - passed)
    subsets = list(itertools.combinations(answers, k))
    assert pass_at_k(n, passed, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_pass_at_k_is_exact_for_large_n() -> None:
    assert pass_at_k(200, 0, 100) == 0.0
    assert pass_at_k(200, 101, 100) == 1.0
    assert pass_at_k(200, 1, 100) == pytest.approx(0.5)


def test_ks() -> None:
    assert ks_for(1) == [1]
    assert ks_for(8) == [1, 5, 8]
    assert ks_for(200) == [1, 5, 10, 100, 200]


# Reference values: R's binom.test(min(b, c), b + c)$p.value.
@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [(0, 0, 1.0), (5, 5, 1.0), (0, 5, 0.0625), (1, 9, 0.021484375), (10, 2, 0.03857421875)],
)
def test_mcnemar_against_known_values(only_first: int, only_second: int, p: float) -> None:
    assert mcnemar_exact(only_first, only_second) == pytest.approx(p)
    assert mcnemar_exact(only_second, only_first) == pytest.approx(p)


def test_mcnemar_of_many_prompts_neither_overflows_nor_turns_negative() -> None:
    assert 0.0 <= mcnemar_exact(0, 5000) < 1e-300
    assert mcnemar_exact(2500, 2500) == 1.0


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    chance, covered = random.Random(1), 0
    for trial in range(200):
        drawn = [float(chance.random() < 0.4) for _ in range(80)]
        interval = estimate(drawn, seed=trial)
        covered += interval.low <= 0.4 <= interval.high
    assert 180 <= covered <= 198


def test_the_interval_depends_on_the_seed_alone() -> None:
    values = [0.0, 1.0, 1.0, 0.0, 1.0] * 9
    assert estimate(values, 1) == estimate(values, 1)
    assert estimate(values, 1) != estimate(values, 2)
    assert estimate(values, 1).value == pytest.approx(0.6)


def test_edges_of_an_estimate() -> None:
    empty = estimate([], 1)
    assert (empty.value, empty.n) == (0.0, 0)
    certain = estimate([1.0] * 20, 1)
    assert (certain.low, certain.value, certain.high) == (1.0, 1.0, 1.0)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_a_paired_test_counts_every_prompt_once(pairs: list[tuple[bool, bool]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    test = paired_test(first, second, 1)
    assert test.both + test.only_first + test.only_second + test.neither == len(pairs)
    assert test.gain.value == pytest.approx((sum(second) - sum(first)) / len(pairs))
    assert test.gain.low <= test.gain.value + 1e-9 and test.gain.high >= test.gain.value - 1e-9
    assert 0.0 <= test.p_value <= 1.0 and math.isfinite(test.p_value)
    mirrored = paired_test(second, first, 1)
    assert mirrored.p_value == test.p_value
