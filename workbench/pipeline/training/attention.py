"""Attention over sequences laid end to end, that never crosses from one into the next.

Registered once through transformers' `AttentionInterface` under `NAME`; the lengths of the
segments travel to it as a keyword of the model's forward. Each segment is one causal SDPA call,
so the cost is the sum of squares of the lengths, not the square of the sum, and no mask of
T x T is ever made. Without segments it is plain causal attention.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface

NAME = "workbench_segments"


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
