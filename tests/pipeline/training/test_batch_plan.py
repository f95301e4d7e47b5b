"""The batch plan: every row once an epoch, the same for every call, limits kept."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from workbench.pipeline.training.batch_plan import BatchPlan, BatchSettings

LENGTHS = st.lists(st.integers(2, 60), min_size=1, max_size=80)
SETTINGS = st.one_of(
    st.builds(
        BatchSettings,
        packing=st.booleans(),
        seed=st.integers(0, 9),
        micro_tokens=st.integers(60, 200),
        step_tokens=st.integers(60, 400),
    ),
    st.builds(
        BatchSettings,
        packing=st.just(False),
        seed=st.integers(0, 9),
        micro_rows=st.integers(1, 9),
        accumulation=st.integers(1, 4),
    ),
)


def rows_of(plan: BatchPlan, steps: range) -> list[int]:
    return [row for step in steps for micro in plan.at(step) for row in micro]


@given(LENGTHS, SETTINGS)
def test_an_epoch_covers_every_row_once(lengths: list[int], settings: BatchSettings) -> None:
    plan = BatchPlan(lengths, settings, epochs=2)
    first = rows_of(plan, range(plan.steps_per_epoch))
    second = rows_of(plan, range(plan.steps_per_epoch, plan.steps))
    assert sorted(first) == sorted(second) == list(range(len(lengths)))


@given(LENGTHS, SETTINGS, st.integers(0, 30))
def test_a_step_is_the_same_however_it_is_reached(
    lengths: list[int], settings: BatchSettings, step: int
) -> None:
    plan = BatchPlan(lengths, settings, max_steps=31)
    walked = [plan.at(n) for n in range(31)]
    assert BatchPlan(lengths, settings, max_steps=31).at(step) == walked[step]


@given(LENGTHS, SETTINGS)
def test_micro_batches_keep_their_limit(lengths: list[int], settings: BatchSettings) -> None:
    plan = BatchPlan(lengths, settings, epochs=1)
    for step in range(plan.steps):
        for micro in plan.at(step):
            sizes = np.asarray(lengths)[list(micro)]
            if settings.micro_rows:
                assert len(micro) <= settings.micro_rows
            elif settings.packing:  # off by half a row at either end
                assert sizes.sum() <= settings.micro_tokens + max(lengths)
            elif len(micro) > 1:
                assert sizes.max() * len(micro) <= settings.micro_tokens


def test_padding_is_small_when_rows_are_bucketed() -> None:
    rng = np.random.default_rng(0)
    lengths = np.exp(rng.normal(4, 0.7, 192)).astype(int) + 2
    settings = BatchSettings(False, 0, micro_rows=8, accumulation=1)
    plan = BatchPlan(lengths, settings, epochs=1)
    slots = sum(
        lengths[list(micro)].max() * len(micro) for n in range(plan.steps) for micro in plan.at(n)
    )
    assert 1 - lengths.sum() / slots < 0.06


def test_packed_steps_are_even() -> None:
    lengths = [10] * 101
    plan = BatchPlan(lengths, BatchSettings(True, 0, 100, step_tokens=100), epochs=1)
    sizes = [sum(len(micro) for micro in plan.at(n)) for n in range(plan.steps)]
    assert plan.steps == 11 and min(sizes) >= 9


def test_epochs_differ_and_seeds_differ() -> None:
    lengths = list(range(2, 60))
    settings = BatchSettings(True, 0, 200, step_tokens=200)
    plan = BatchPlan(lengths, settings, epochs=2)
    assert plan.at(0) != plan.at(plan.steps_per_epoch)
    other = BatchSettings(True, 1, 200, step_tokens=200)
    assert plan.at(0) != BatchPlan(lengths, other, epochs=1).at(0)


def test_fractions_of_an_epoch() -> None:
    settings = BatchSettings(True, 0, 50, step_tokens=50)
    whole = BatchPlan([10] * 100, settings, epochs=1).steps
    assert BatchPlan([10] * 100, settings, epochs=1.5).steps == whole * 3 // 2
    assert BatchPlan([10] * 100, settings, epochs=0.01).steps == 1
