"""Segments through the variable-length kernel are those of SDPA, as far as a CPU can tell.

The kernel runs on CUDA alone: a plain function with its documented meaning stands in for it, and
what it is called with is held against the signature of torch's own.
"""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import Tensor

from workbench.pipeline.training import packed_attention

SEGMENTS = (5, 11, 1, 7)


def documented(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float | None,
    window_size: tuple[int, int],
    enable_gqa: bool,
) -> Tensor:
    """varlen_attn by the letter of its page: (T, heads, D), windows to the left and the right."""
    assert cu_seq_q.dtype == torch.int32 and max_q == max_k == int(cu_seq_q.diff().max())
    assert enable_gqa or query.shape[1] == key.shape[1]
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    left, right = window_size
    outputs = []
    for start, end in zip(cu_seq_q[:-1].tolist(), cu_seq_k[1:].tolist(), strict=True):
        q, k, v = (part[start:end].transpose(0, 1) for part in (query, key, value))
        at = torch.arange(end - start)
        behind = at[:, None] - at[None]
        seen = behind >= -right
        if left >= 0:
            seen &= behind <= left
        scores = q @ k.transpose(1, 2) * (scale or q.shape[-1] ** -0.5)
        weights = scores.masked_fill(~seen, float("-inf")).softmax(-1)
        outputs.append((weights @ v).transpose(0, 1))
    return torch.cat(outputs)


@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("key_heads", [4, 2])
def test_the_kernel_is_asked_for_what_sdpa_gives(key_heads: int, window: int | None) -> None:
    torch.manual_seed(0)
    total = sum(SEGMENTS)
    query = torch.randn(1, 4, total, 8)
    key, value = torch.randn(2, 1, key_heads, total, 8)
    expected, _ = packed_attention.segment_attention(
        torch.nn.Identity(),
        query,
        key,
        value,
        None,
        scaling=0.3,
        sliding_window=window,
        segments=SEGMENTS,
    )
    found = packed_attention._varlen(documented, query, key, value, SEGMENTS, 0.3, window)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_torchs_kernel_takes_these_arguments() -> None:
    kernel = packed_attention.varlen_kernel()
    assert kernel is not None, "the torch that this is tested with has it"
    taken = inspect.signature(kernel).parameters
    assert [*inspect.signature(documented).parameters][:7] == [*taken][:7]
    assert {"scale", "window_size", "enable_gqa"} <= taken.keys()


def test_a_cpu_never_takes_it() -> None:
    assert not packed_attention._fits(torch.zeros(1, 2, 3, 8, dtype=torch.bfloat16))


@pytest.mark.gpu
def test_on_cuda_both_ways_agree() -> None:
    torch.manual_seed(0)
    made = torch.randn(3, 1, 4, sum(SEGMENTS), 64, device="cuda", dtype=torch.bfloat16)
    kernel = packed_attention.varlen_kernel()
    assert kernel is not None and packed_attention._fits(made[0])
    for window in (None, 4):
        found = packed_attention._varlen(kernel, *made, SEGMENTS, None, window)
        wide = [part.float() for part in made]  # in 32 bits it is SDPA, segment by segment
        expected, _ = packed_attention.segment_attention(
            torch.nn.Identity(), *wide, None, sliding_window=window, segments=SEGMENTS
        )
        torch.testing.assert_close(found.float(), expected, rtol=2e-2, atol=2e-2)
