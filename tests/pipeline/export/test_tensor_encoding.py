"""Q8_0 by numpy against ggml's own loop, byte for byte, where rounding is hard."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Q
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.pipeline.export import tensor_encoding
from workbench.pipeline.export.safetensors_reader import Float32

COLUMNS = 64


def by_ggml(rows: Float32, monkeypatch: pytest.MonkeyPatch) -> bytes:
    with monkeypatch.context() as patch:
        patch.setattr(tensor_encoding, "q8_0", lambda rows, target: False)
        return tensor_encoding.encode(rows, Q.Q8_0).tobytes()


def by_numpy(rows: Float32) -> bytes | None:
    target = np.full((len(rows), COLUMNS // 32 * 34), 0xAA, np.uint8)
    return target.tobytes() if tensor_encoding.q8_0(rows, target) else None


def halves(seed: int) -> Float32:
    """Blocks whose largest is 127 steps, all others whole or half steps, of many sizes."""
    random = np.random.default_rng(seed)
    steps = (random.integers(-253, 254, size=(64, COLUMNS)) / 2).astype(np.float32)
    steps[:, ::32] = random.choice([-127, 127], size=(64, COLUMNS // 32))
    return _of_many_sizes(steps, random)


def near_halves(seed: int) -> Float32:
    """The same, each a few float32 away."""
    rows = halves(seed)
    moved = np.random.default_rng(seed).integers(-2, 3, size=rows.shape).astype(np.int32)
    return np.where(rows == 0, rows, (rows.view(np.int32) + moved).view(np.float32))


def plain(seed: int) -> Float32:
    random = np.random.default_rng(seed)
    rows = random.standard_normal((64, COLUMNS), np.float32)
    rows[random.random(64) < 0.1] = 0
    rows[random.random(rows.shape) < 0.1] = -0.0
    return _of_many_sizes(rows, random)


def _of_many_sizes(rows: Float32, random: np.random.Generator) -> Float32:
    sizes = random.integers(-60, 15, size=(64, 1)).astype(np.float32)
    return np.multiply(rows, np.exp2(sizes), dtype=np.float32)


def of_bfloat16(seed: int) -> Float32:
    return (plain(seed).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


@pytest.fixture(params=[7, tensor_encoding.PIECE_BLOCKS], autouse=True)
def pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_encoding, "PIECE_BLOCKS", request.param)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("made", [halves, near_halves, plain, of_bfloat16])
def test_every_byte_is_ggmls(
    made: Callable[[int], Float32], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = made(seed)
    assert by_numpy(rows) == by_ggml(rows, monkeypatch)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=32, max_size=COLUMNS
    )
)
def test_any_block_is_ggmls_or_left_to_it(values: list[float]) -> None:
    rows = np.zeros((1, COLUMNS), np.float32)
    rows[0, : len(values)] = values
    made = by_numpy(rows)
    with pytest.MonkeyPatch.context() as patch:
        assert made in (None, by_ggml(rows, patch))


@pytest.mark.parametrize("largest", [1e-45, 1e-38, 3e-31, 8.4e6, 3e38])
def test_what_its_arithmetic_does_not_reach_is_left_to_ggml(
    largest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.full((2, COLUMNS), 0.25, np.float32)
    rows[1] = largest
    assert by_numpy(rows) is None
    assert tensor_encoding.encode(rows, Q.Q8_0).tobytes() == by_ggml(rows, monkeypatch)
