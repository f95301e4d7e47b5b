"""The schedule against its definition and against transformers' own."""

from __future__ import annotations

import pytest
import torch
from transformers import get_scheduler

from workbench.pipeline.training.schedule import Schedule, lr_at


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
