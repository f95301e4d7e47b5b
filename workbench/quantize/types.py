"""The GGUF types by name: which this package writes itself, which llama.cpp makes of a float file.

Numbers are llama.cpp's `enum llama_ftype`. `bits` is what a weight takes, all in all, in a usual
model: for an estimate before there is a plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.errors import UserError
from workbench.text import did_you_mean


@dataclass(frozen=True)
class Kind:
    """A type of file. `streamed`: written straight from the weights; else from a float GGUF."""

    name: str
    number: int
    bits: float
    about: str
    streamed: bool = False

    @property
    def is_float(self) -> bool:
        return self.name in ("f32", "f16", "bf16")


KINDS = {
    kind.name: kind
    for kind in (
        Kind("f32", 0, 32.0, "exact, and large", True),
        Kind("f16", 1, 16.0, "exact for most models; to make others from", True),
        Kind("bf16", 32, 16.0, "half the size of f32, with its range", True),
        Kind("q8_0", 7, 8.5, "hardly told from f16", True),
        Kind("q6_k", 18, 6.6, "near q8_0", True),
        Kind("q5_k_m", 17, 5.7, "between q4_k_m and q6_k", True),
        Kind("q5_k_s", 16, 5.5, "a little less than q5_k_m"),
        Kind("q5_1", 9, 6.0, "an older five bits, with an offset"),
        Kind("q5_0", 8, 5.5, "an older five bits"),
        Kind("q4_k_m", 15, 4.9, "the usual choice", True),
        Kind("q4_k_s", 14, 4.6, "a little less than q4_k_m", True),
        Kind("iq4_nl", 25, 4.5, "four bits on a curve"),
        Kind("iq4_xs", 30, 4.3, "as iq4_nl, smaller"),
        Kind("q4_1", 3, 5.0, "an older four bits, with an offset"),
        Kind("q4_0", 2, 4.5, "an older four bits, fast on some machines", True),
        Kind("q3_k_l", 13, 4.3, "three bits, the largest mixture"),
        Kind("q3_k_m", 12, 3.9, "three bits: costs a good deal"),
        Kind("q3_k_s", 11, 3.5, "three bits, the smallest mixture"),
        Kind("iq3_m", 27, 3.7, "three bits on a grid"),
        Kind("iq3_s", 26, 3.4, "three bits on a grid, smaller"),
        Kind("q2_k", 10, 3.0, "two bits: a last resort"),
    )
}
NEED_MATRIX = (
    *("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq2_m"),
    *("iq3_xxs", "iq3_xs", "q2_k_s"),
)


def kind_named(name: str) -> Kind:
    """The type of that name in any case. Raises UserError for one that cannot be made."""
    lower = name.strip().lower()
    if lower in NEED_MATRIX:
        hint = "q2_k, q3_k_m and iq3_s come without one"
        raise UserError(
            f"type {lower} needs an importance matrix, which is not made here", hint=hint
        )
    if lower not in KINDS:
        raise UserError(f"no GGUF type '{name}'", hint=did_you_mean(lower, KINDS))
    return KINDS[lower]


def estimated_bytes(kind: Kind, known: Sequence[tuple[str, int]]) -> int:
    """Bytes that a file of `kind` may have, from (type, bytes) of the model's files; 0: unknown.

    The type with the most bits tells best: the fewer, the more the mixture weighs.
    """
    measured = [(KINDS[name], n_bytes) for name, n_bytes in known if name in KINDS]
    if not measured:
        return 0
    nearest, n_bytes = max(measured, key=lambda pair: pair[0].bits)
    return round(n_bytes * kind.bits / nearest.bits)
