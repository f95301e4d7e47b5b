"""Attention over sequences laid end to end, that never crosses from one into the next.

Registered once through transformers' `AttentionInterface` under `NAME`; the lengths of the
segments travel to it as a keyword of the model's forward. On CUDA, in 16 bits, all segments are one
call of torch's variable-length kernel, sliding windows included; elsewhere each segment is one
causal SDPA call. Either way the cost is the sum of squares of the lengths, not the square of the
sum, and no mask of T x T is ever made. Without segments it is plain causal attention.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface

NAME = "workbench_segments"
WIDEST_HEAD = 256  # the kernel's limit


def segment_attention(
    module: nn.Module,
    query: Tensor,  # (B, heads, T, D)
    key: Tensor,  # (B, key heads, T, D)
    value: Tensor,  # (B, key heads, T, D)
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    segments: tuple[int, ...] = (),
    **_: Any,
) -> tuple[Tensor, None]:  # (B, T, heads, D)
    """Causal attention within each of `segments` (lengths that add up to T)."""
    kernel = varlen_kernel()
    if kernel and segments and not dropout and softcap is None and _fits(query):
        return _varlen(kernel, query, key, value, segments, scaling, sliding_window), None
    repeat = query.shape[1] // key.shape[1]
    if repeat > 1:
        key, value = key.repeat_interleave(repeat, 1), value.repeat_interleave(repeat, 1)
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    spans = segments or (query.shape[2],)
    outputs = []
    for q, k, v in zip(
        query.split(spans, 2), key.split(spans, 2), value.split(spans, 2), strict=True
    ):
        outputs.append(_causal(q, k, v, scale, dropout, sliding_window, softcap))
    return torch.cat(outputs, 2).transpose(1, 2), None


@lru_cache(maxsize=1)
def varlen_kernel() -> Callable[..., Any] | None:
    """`varlen_attn` of torch, where it has windows and shared keys (from 2.11 or so); else None."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    known = inspect.signature(varlen_attn).parameters
    return varlen_attn if {"window_size", "enable_gqa", "scale"} <= known.keys() else None


def _fits(query: Tensor) -> bool:
    """Whether the kernel, FlashAttention 2, can compute it: 16 bits, on a card from Ampere on."""
    if not query.is_cuda or query.dtype not in (torch.float16, torch.bfloat16):
        return False
    modern = torch.cuda.get_device_capability(query.device) >= (8, 0)
    return modern and query.shape[0] == 1 and query.shape[-1] <= WIDEST_HEAD


def _varlen(
    kernel: Callable[..., Any],
    query: Tensor,  # (1, heads, T, D)
    key: Tensor,
    value: Tensor,
    segments: tuple[int, ...],
    scaling: float | None,
    window: int | None,
) -> Tensor:  # (1, T, heads, D)
    """All segments at once. A window of W tokens is the query's own and W - 1 before it."""
    ends, longest = _ends(segments, query.device), max(segments)
    q, k, v = (part[0].transpose(0, 1).contiguous() for part in (query, key, value))
    left = -1 if window is None else window - 1
    out: Tensor = kernel(
        q,
        k,
        v,
        ends,
        ends,
        longest,
        longest,
        scale=scaling,
        window_size=(left, 0),
        enable_gqa=q.shape[1] != k.shape[1],
    )
    return out[None]


@lru_cache(maxsize=4)
def _ends(segments: tuple[int, ...], device: torch.device) -> Tensor:  # (segments + 1,) of int32
    """Where each segment begins, and the end: copied to the device once, not in every layer."""
    return torch.tensor((0, *segments), device="cpu").cumsum(0).to(device, torch.int32)


def _causal(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scale: float,
    dropout: float,
    window: int | None,
    softcap: float | None,
) -> Tensor:  # (B, heads, T, D) each
    length = query.shape[2]
    if softcap is None:
        beyond = window is not None and length > window
        mask = _mask(length, window, query.device) if beyond else None
        return F.scaled_dot_product_attention(
            query, key, value, mask, dropout, is_causal=mask is None, scale=scale
        )
    # Gemma 2 caps the scores before the softmax; SDPA has no place for that.
    scores = softcap * torch.tanh(query @ key.transpose(-1, -2) * (scale / softcap))
    seen = _mask(length, window, query.device)
    weights = scores.masked_fill(~seen, float("-inf")).softmax(-1, dtype=torch.float32)
    return F.dropout(weights, dropout).to(query.dtype) @ value


def _mask(length: int, window: int | None, device: torch.device) -> Tensor:  # (T, T) of bool
    """True where a query (row) may look: not ahead, and not beyond the sliding window."""
    ahead = torch.ones(length, length, dtype=torch.bool, device=device).tril()
    return ahead if window is None else ahead & ~ahead.tril(-window)


AttentionInterface.register(NAME, segment_attention)
