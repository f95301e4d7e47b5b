"""The random numbers of a step are a function of its place: no state to save or to restore."""

from __future__ import annotations


def seed_of(seed: int, step: int, number: int) -> int:
    """The seed of the random numbers (dropout) of a step's micro-batch: a 63-bit mix of them.

    It does not hang on which rank computes the micro-batch, nor on what that rank did before.
    """
    mixed = (seed + 1) * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9
    return (mixed + number * 0x94D049BB133111EB) & ((1 << 63) - 1)
