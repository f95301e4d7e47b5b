"""Steps of a stage, by hand and by property."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.preset.schema import TrainStage
from workbench.preset.step_plan import estimate_steps_per_epoch, plan_stage, steps_due, steps_of


def stage(**keys: Any) -> TrainStage:
    return TrainStage.model_validate(keys)


def test_a_stage_by_hand() -> None:
    plan = plan_stage(stage(epochs=3, batch_tokens=1000, warmup=0.1, save_every=0.25), 24_500, 99)
    assert plan.steps_per_epoch == 25 and plan.steps == 75
    assert plan.warmup_steps == 8  # 7.5, halves up
    assert plan.evaluate_steps[:10] == (3, 5, 8, 10, 13, 15, 18, 20, 23, 25)  # ten a pass
    assert len(plan.evaluate_steps) == 30 and plan.evaluate_steps[-1] == 75
    assert plan.checkpoint_steps == (19, 38, 56, 75)
    assert plan.epochs == 3.0


def test_max_steps_wins_over_epochs() -> None:
    plan = plan_stage(stage(epochs=3, max_steps=10, batch_tokens=100), 1000, 10)
    assert plan.steps == 10 and plan.epochs == 1.0


def test_a_fraction_of_an_epoch_is_a_step_at_least() -> None:
    assert plan_stage(stage(epochs=0.001), 1000, 10).steps == 1


def test_the_batching_of_training_is_believed() -> None:
    plan = plan_stage(stage(epochs=2), 10, 10, steps_per_epoch=7)
    assert plan.steps == 14 and plan.steps_per_epoch == 7


def test_without_validation_nothing_is_evaluated() -> None:
    assert plan_stage(stage(), 1000, 10, validation=False).evaluate_steps == ()


@pytest.mark.parametrize(
    ("keys", "steps"),
    [
        ({"batch_tokens": 1000}, 13),
        ({"batch_size": 8, "packing": False}, 13),
        ({"batch_size": 8, "packing": False, "accumulation": 2}, 7),
        ({"batch_size": 8, "sequence_length": 500}, 4),  # 25 packed sequences
        ({"batch_size": 8, "sequence_length": 8}, 13),  # no more sequences than rows
    ],
)
def test_steps_in_a_pass(keys: dict[str, Any], steps: int) -> None:
    assert estimate_steps_per_epoch(stage(**keys), n_tokens=12_500, n_rows=100) == steps


def test_below_one_is_a_share_from_one_on_steps() -> None:
    assert [steps_of(value, 200) for value in (0, 0.1, 0.999, 1, 50)] == [0, 20, 200, 1, 50]


def test_warmup_never_exceeds_the_stage() -> None:
    assert plan_stage(stage(warmup=500, max_steps=10), 10, 10).warmup_steps == 10


def test_zero_is_the_end_alone() -> None:
    assert steps_due(0, 25, 75) == (75,)


def test_every_step_at_most() -> None:
    assert steps_due(0.01, 10, 5) == (1, 2, 3, 4, 5)
    assert steps_due(1, 10, 3) == (1, 2, 3)


@given(
    value=st.one_of(st.floats(0, 1, exclude_max=True), st.integers(1, 500)),
    whole=st.integers(1, 300),
    last=st.integers(1, 900),
)
def test_steps_rise_and_end_with_the_last(value: float, whole: int, last: int) -> None:
    due = steps_due(value, whole, last)
    assert due[-1] == last and due[0] >= 1
    assert all(a < b for a, b in zip(due, due[1:], strict=False))
    interval = value * whole if value < 1 else value
    if interval > 1:
        assert len(due) <= last / interval + 1
        assert all(abs(step - n * interval) <= 0.5 for n, step in enumerate(due[:-1], start=1))


@given(
    epochs=st.floats(0.01, 20),
    per_epoch=st.integers(1, 500),
    warmup=st.one_of(st.floats(0, 1, exclude_max=True), st.integers(1, 50)),
)
def test_a_plan_keeps_within_the_stage(epochs: float, per_epoch: int, warmup: float) -> None:
    plan = plan_stage(stage(epochs=epochs, warmup=warmup), 1, 1, steps_per_epoch=per_epoch)
    assert 1 <= plan.steps and abs(plan.steps - epochs * per_epoch) <= 1
    assert 0 <= plan.warmup_steps <= plan.steps
    assert plan.evaluate_steps[-1] == plan.checkpoint_steps[-1] == plan.steps
