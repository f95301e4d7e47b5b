"""What an adapter does to the rows of one weight: float32 arithmetic, each row independent.

As in peft (tuners/lora, tuners/trainable_tokens): W + scale * B @ A, DoRA's rows scaled to a
length, single rows replaced.

LoRA on a whole stack of experts is split into the factors of each stored matrix: transformers 5
holds the experts of a layer as two parameters, `gate_up_proj` (experts, 2 * inner, hidden) and
`down_proj` (experts, hidden, inner), and stores one matrix per expert. peft's factors for such a
parameter (tuners/lora/layer.py, ParamWrapper) are A (experts * r, columns) and
B (rows, r * experts), where expert e has rows [e * r, (e + 1) * r) of A and every experts-th
column of B from e on. Two parameters of one module are distinguished by their shapes: peft's names
do not tell them apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.core.errors import UserError
from workbench.pipeline.export.safetensors_reader import Float32, SafetensorsFolder


@dataclass(frozen=True)
class ExpertFactors:
    """Where the factors of one expert's matrix lie: keys of A and B, and its share of them.

    `module` is the parameter's name for peft's patterns, `rows` its rows of B.
    """

    a: str
    b: str
    module: str
    expert: int
    experts: int
    rows: slice


def expert_factors(
    module: str,
    stored: str,
    names: tuple[str, str, str],
    pairs: Iterable[Mapping[str, str]],
    factors: SafetensorsFolder,
    base: SafetensorsFolder,
) -> Iterator[tuple[str, ExpertFactors]]:
    """The stored matrices that `pairs` of factors change, each with its share.

    `module` is the stack in memory (`...mlp.experts`), `stored` its name in the base's files, and
    `names` those of gate, up and down. Raises UserError for factors that fit neither parameter.
    """
    gate, up, down = names
    parts: tuple[str, ...]
    n = _experts(f"{stored}.%d.{gate}.weight", base)
    inner, hidden = base.shape(f"{stored}.0.{gate}.weight") if n else (0, 0)
    for pair in pairs:
        (rank, columns), (rows, _) = (factors.shape(pair[k]) for k in ("lora_A", "lora_B"))
        if n and rank % n == 0 and (rows, columns) == (2 * inner, hidden):
            parameter, parts = "gate_up_proj", (gate, up)
        elif n and rank % n == 0 and (rows, columns) == (hidden, inner):
            parameter, parts = "down_proj", (down,)
        else:
            message = f"the LoRA factors of {module} match no experts of the base model"
            raise UserError(message, path=factors.folder)
        for i, expert in product(range(len(parts)), range(n)):
            share = slice(rows // len(parts) * i, rows // len(parts) * (i + 1))
            keys = pair["lora_A"], pair["lora_B"]
            found = ExpertFactors(*keys, f"{module}.{parameter}", expert, n, share)
            yield f"{stored}.{expert}.{parts[i]}.weight", found


def _experts(pattern: str, base: SafetensorsFolder) -> int:
    """How many experts the base stores."""
    n = 0
    while pattern % n in base:
        n += 1
    return n


class WeightChange(Protocol):
    """One step from the base's rows to the trained ones."""

    def applied(self, weight: Float32, first: int) -> Float32:
        """The new rows for `weight`, the rows that begin at `first`."""


@dataclass(frozen=True)
class LoraDelta:
    """W + scale * left @ right, and with `magnitude` each row of that length (DoRA)."""

    left: Float32  # (rows, r): B, or A.T of an embedding
    right: Float32  # (r, columns): A, or B.T of an embedding
    scale: float
    magnitude: Float32 | None = None  # (rows,)

    def applied(self, weight: Float32, first: int) -> Float32:
        end = first + len(weight)
        scaled: Float32 = np.multiply(self.left[first:end], self.scale, dtype=np.float32)
        merged = scaled @ self.right
        merged += weight
        if self.magnitude is not None:
            lengths = np.linalg.norm(merged, axis=1)
            merged *= (self.magnitude[first:end] / lengths)[:, None]
        return merged


@dataclass(frozen=True)
class TokenRowReplacement:
    """Rows of an embedding that were trained by themselves: they stand in place of the base's."""

    ids: NDArray[np.int64]  # (n,)
    values: Float32  # (n, columns)

    def applied(self, weight: Float32, first: int) -> Float32:
        inside = (self.ids >= first) & (self.ids < first + len(weight))
        changed = weight.copy()
        changed[self.ids[inside] - first] = self.values[inside]
        return changed
