"""The schedule against its definition and against transformers' own."""

from __future__ import annotations

import pytest
import torch
from transformers import get_scheduler

from workbench.pipeline.training.lr_schedule import Schedule, extended_lr_at, lr_at


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_equals_transformers_without_warmup(schedule: Schedule) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2e-3)
    peer = get_scheduler(schedule, optimizer, num_warmup_steps=0, num_training_steps=30)
    for step in range(30):
        ours = lr_at(step, steps=30, warmup_steps=0, learning_rate=2e-3, schedule=schedule)
        assert ours == pytest.approx(peer.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        peer.step()


def test_warmup_rises_from_above_zero_to_the_peak() -> None:
    rates = [
        lr_at(n, steps=20, warmup_steps=4, learning_rate=1.0, schedule="cosine") for n in range(20)
    ]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates == sorted(rates[:5]) + sorted(rates[5:], reverse=True)
    assert rates[-1] > 0


def test_ends_at_the_ratio() -> None:
    end = lr_at(100, steps=100, warmup_steps=0, learning_rate=1.0, schedule="linear", min_ratio=0.1)
    assert end == pytest.approx(0.1)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_an_extension_rises_to_a_share_of_the_peak_and_falls_in_a_line(schedule: Schedule) -> None:
    def rate(step: int) -> float:
        return extended_lr_at(
            step,
            steps=100,
            extensions=[40, 20],
            warmup_steps=10,
            learning_rate=1.0,
            schedule=schedule,
            min_ratio=0.03,
        )

    plain = [
        lr_at(n, steps=100, warmup_steps=10, learning_rate=1.0, schedule=schedule, min_ratio=0.03)
        for n in range(100)
    ]
    assert [rate(step) for step in range(100)] == plain
    first = [rate(step) for step in range(100, 140)]
    assert max(first) == first[2] == pytest.approx(0.3)
    falls = [a - b for a, b in zip(first[2:], first[3:], strict=False)]
    assert falls == pytest.approx([falls[0]] * len(falls)) and falls[0] > 0
    assert rate(140) < rate(141) == pytest.approx(0.3) and 0.03 < rate(159) < 0.05


def test_a_constant_schedule_stays_constant_when_extended() -> None:
    rates = {
        extended_lr_at(
            step,
            steps=10,
            extensions=[5],
            warmup_steps=0,
            learning_rate=0.5,
            schedule="constant",
        )
        for step in range(15)
    }
    assert rates == {0.5}
