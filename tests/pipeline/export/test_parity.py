from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.pipeline.export.parity import (
    HARD_LIMITS,
    WARNING_LIMITS,
    Parity,
    _compare,
    _summary,
    as_json,
    judge_parity,
    log_softmax,
)
from workbench.pipeline.export.tensor_types import TYPES

GOOD = Parity("f16", 1e-6, 1e-5, 1.0, 1.0, True, 100, 90, 1e-3, True)


def test_every_type_has_a_limit() -> None:
    assert set(HARD_LIMITS) | set(WARNING_LIMITS) >= set(TYPES)


def test_float_files_must_be_exact() -> None:
    assert judge_parity(GOOD).passed
    wrong = judge_parity(dataclasses.replace(GOOD, kl_mean=1.1e-4))
    assert not wrong.passed and "limit is 0.0001" in wrong.reason
    f32 = dataclasses.replace(GOOD, type="f32", kl_mean=5e-6)
    assert not judge_parity(f32).passed and judge_parity(f32, f32_limit=1e-5).passed


def test_a_tipped_router_is_no_fault_of_the_file() -> None:
    """One position of ten goes to another expert; a wrong file is wrong everywhere."""
    logits = np.random.default_rng(0).normal(size=(10, 9)).astype(np.float32)
    tipped = logits.copy()
    tipped[3] = tipped[3, ::-1]
    one = _summary("f16", [_compare(logits, tipped)], True, None)
    assert judge_parity(one, routed=True).passed and not judge_parity(one).passed
    all_wrong = _summary("f16", [_compare(logits, logits[:, ::-1])], True, None)
    assert not judge_parity(all_wrong, routed=True).passed


def test_other_ids_fail_whatever_the_logits() -> None:
    for kind in TYPES:
        other = dataclasses.replace(GOOD, type=kind, kl_mean=0.0, ids_equal=False)
        assert not judge_parity(other).passed


def test_quantization_is_reported_and_warned_of() -> None:
    assert judge_parity(dataclasses.replace(GOOD, type="q8_0", kl_mean=5e-3)).warning == ""
    much = judge_parity(dataclasses.replace(GOOD, type="q8_0", kl_mean=5e-2))
    assert much.passed and "q8_0 costs this model 0.05 nats" in much.warning


@pytest.mark.parametrize("kind", TYPES)
def test_what_is_no_number_fails(kind: str) -> None:
    expected = np.random.default_rng(0).normal(size=(4, 9)).astype(np.float32)
    broken = expected.copy()
    broken[1, 2] = np.nan
    found = _summary(kind, [_compare(expected, broken)], True, None)
    verdict = judge_parity(found)
    assert not verdict.passed
    assert as_json(found, verdict)["kl_mean"] is None


def test_equal_logits_diverge_nowhere() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    found = _summary("f32", [_compare(logits, logits + 3)], True, 0.0)
    assert found.kl_mean == pytest.approx(0, abs=1e-9)
    assert (found.top1, found.top1_margin, found.positions) == (1.0, 1.0, 5)


def test_near_ties_do_not_count_as_sure() -> None:
    expected = np.array([[1.0, 1.01, 0.0], [5.0, 0.0, 0.0]], np.float32)
    got = np.array([[1.02, 1.0, 0.0], [5.0, 0.0, 0.0]], np.float32)
    found = _summary("f16", [_compare(expected, got)], True, None)
    assert (found.top1, found.top1_margin, found.clear_positions) == (0.5, 1.0, 1)


@settings(deadline=None)
@given(st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=20))
def test_probabilities_sum_to_one(values: list[float]) -> None:
    total = np.exp(log_softmax(np.array([values], np.float32))).sum()
    assert total == pytest.approx(1.0, abs=1e-9)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_divergence_is_never_negative(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, two = (rng.normal(scale=3, size=(3, 8)).astype(np.float32) for _ in range(2))
    assert (_compare(one, two).kl >= -1e-12).all()
