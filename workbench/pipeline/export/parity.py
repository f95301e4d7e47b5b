"""Is a GGUF the model that was trained? Kullback-Leibler divergence from the reference's logits.

Right files and wrong ones lie far apart: an exact F32 file is below 1e-6 nats, an F16 file below
1e-5; one forgotten bias, permutation or scale is above 0.1. So F32, F16 and BF16 must pass, and
a quantized file stands on the proof that a float file of the same pass gives; its own divergence is
what quantization costs, reported, with a warning when it is much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.pipeline.export.gguf_logits import GgufLogits
from workbench.pipeline.export.safetensors_reader import Float32

HARD_LIMITS = {"f32": 1e-6, "f16": 1e-4, "bf16": 2e-3}  # mean KL, nats
WARNING_LIMITS = {
    "q8_0": 1e-2,
    "q6_k": 3e-2,
    "q5_k_m": 1e-1,
    "q4_k_m": 3e-1,
    "q4_k_s": 3e-1,
    "q4_0": 3e-1,
    "q5_k_s": 1e-1,
    "q5_1": 1e-1,
    "q5_0": 1e-1,
    "q4_1": 3e-1,
    "iq4_nl": 3e-1,
    "iq4_xs": 3e-1,
}
OTHER_LIMIT = 1.0  # three and two bits cost much in any small model
ROUTED_SHARE = 0.8  # of positions by which a mixture of experts is judged
CLEAR_MARGIN = 10  # a top token counts where it leads by so many times the largest difference


@dataclass(frozen=True)
class Parity:
    """One file against the reference. Divergences in nats, `max_abs` in logits.

    `top1`: share of positions with the same likeliest token; `top1_margin`: the same over the
    `clear_positions`, where the reference's lead is beyond numeric noise (1.0 when there is none).
    `kl_most`: mean over the four fifths of the positions that diverge least.
    """

    type: str
    kl_mean: float
    kl_max: float
    top1: float
    top1_margin: float
    ids_equal: bool
    positions: int
    clear_positions: int
    max_abs: float
    finite: bool
    kl_most: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """`passed` false means the file must not be used; `warning` is one line, or empty."""

    passed: bool
    reason: str = ""
    warning: str = ""
    limit: float = 0.0


def measure(
    kind: str,
    gguf: Path,
    probes: Sequence[Sequence[int]],
    reference: Sequence[Path],
    *,
    ids_equal: bool,
    noise: float | None = None,
    threads: int = 1,
) -> Parity:
    """Compare the logits of `gguf` with the reference's .npy files, a probe at a time.

    `noise`: the largest logit difference that is only arithmetic (that of the float file); by
    default the file's own.
    """
    context = max(map(len, probes)) + 1
    with GgufLogits(gguf, context=context, threads=threads) as native:
        parts = [
            _compare(np.load(path), native.logits(list(ids)))
            for ids, path in zip(probes, reference, strict=True)
        ]
    return _summary(kind, parts, ids_equal, noise)


def between(kind: str, expected: Sequence[Path], got: Sequence[Path]) -> Parity:
    """How far the second reference is from the first: .npy files of the same probes."""
    parts = [_compare(np.load(one), np.load(two)) for one, two in zip(expected, got, strict=True)]
    return _summary(kind, parts, True, None)


@dataclass(frozen=True)
class _Part:
    """One probe: a value a position."""

    kl: NDArray[np.float64]
    same_top: NDArray[np.bool_]
    lead: NDArray[np.float64]
    max_abs: float


def _compare(expected: Float32, got: Float32) -> _Part:  # (T, V), (T, V)
    finite = bool(np.isfinite(got).all())
    if not finite or expected.shape != got.shape:
        nothing = np.full(len(expected), np.inf)
        return _Part(nothing, np.zeros(len(expected), bool), nothing, float("inf"))
    p, q = log_softmax(expected), log_softmax(got)
    top_two = np.partition(expected, -2, axis=1)[:, -2:]
    return _Part(
        kl=(np.exp(p) * (p - q)).sum(axis=1),
        same_top=expected.argmax(axis=1) == got.argmax(axis=1),
        lead=(top_two[:, 1] - top_two[:, 0]).astype(np.float64),
        max_abs=float(np.abs(expected - got).max()),
    )


def log_softmax(logits: Float32) -> NDArray[np.float64]:
    """Logarithms of the probabilities, along the last axis, in float64."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted


def _summary(kind: str, parts: Sequence[_Part], ids_equal: bool, noise: float | None) -> Parity:
    kl = np.concatenate([part.kl for part in parts])
    same = np.concatenate([part.same_top for part in parts])
    lead = np.concatenate([part.lead for part in parts])
    max_abs = max(part.max_abs for part in parts)
    finite = bool(np.isfinite(kl).all())
    clear = lead > CLEAR_MARGIN * (max_abs if noise is None else noise)
    return Parity(
        type=kind,
        kl_mean=float(kl.mean()),
        kl_max=float(kl.max()),
        top1=float(same.mean()),
        top1_margin=float(same[clear].mean()) if clear.any() else 1.0,
        ids_equal=ids_equal,
        positions=len(kl),
        clear_positions=int(clear.sum()),
        max_abs=max_abs,
        finite=finite,
        kl_most=float(np.sort(kl)[: max(1, int(ROUTED_SHARE * len(kl)))].mean()),
    )


def judge_parity(
    parity: Parity, *, f32_limit: float = HARD_LIMITS["f32"], routed: bool = False
) -> Verdict:
    """Whether the file may be used.

    `f32_limit`: the architecture's own limit for F32. `routed`: a mixture of experts, where
    rounding can tip a router that stands between two experts; such positions are few, and a wrong
    file diverges everywhere, so it is judged by `kl_most`.
    """
    if not parity.finite:
        return Verdict(False, "its logits are not finite, or their number differs from the model's")
    if not parity.ids_equal:
        return Verdict(False, "llama.cpp tokenizes texts differently than training did")
    limit = f32_limit if parity.type == "f32" else HARD_LIMITS.get(parity.type)
    if limit is None:
        return _judge_quantized(parity)
    diverges = parity.kl_most if routed and parity.type != "f32" else parity.kl_mean
    if diverges > limit:
        reason = f"mean KL {diverges:.2g} nats, the limit is {limit:g}"
        return Verdict(False, reason, limit=limit)
    return Verdict(True, limit=limit)


def _judge_quantized(parity: Parity) -> Verdict:
    limit = WARNING_LIMITS.get(parity.type, OTHER_LIMIT)
    if parity.kl_mean <= limit:
        return Verdict(True, limit=limit)
    warning = (
        f"{parity.type} costs this model {parity.kl_mean:.2g} nats, above {limit:g}: "
        "try a larger type"
    )
    return Verdict(True, warning=warning, limit=limit)


def as_json(parity: Parity, verdict: Verdict) -> dict[str, Any]:
    """What parity.json says of one file; strict JSON, infinite values as null."""
    values = {**vars(parity), "limit": verdict.limit, "passed": verdict.passed}
    values |= {"reason": verdict.reason, "warning": verdict.warning}
    return {
        key: None if isinstance(value, float) and not np.isfinite(value) else value
        for key, value in values.items()
    }
