"""How the next token is chosen: the numbers a person sets, checked once, where they are made.

Order of the filters, as in llama.cpp and Ollama: repeat penalty, top-k, top-p, min-p, temperature,
then one draw. Temperature 0 takes the likeliest token after the penalty and draws nothing.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from workbench.core.errors import UserError
from workbench.core.text import did_you_mean

# Tokens that the repeat penalty looks back at: llama.cpp's and Ollama's default.
PENALTY_WINDOW = 64
LAST_SEED = 2**32 - 1

# lowest, highest, lowest itself allowed
_RANGES: dict[str, tuple[float, float, bool]] = {
    "temperature": (0.0, 100.0, True),
    "top_k": (0, 2**31 - 1, True),
    "top_p": (0.0, 1.0, False),
    "min_p": (0.0, 1.0, True),
    "repeat_penalty": (0.0, 100.0, False),
    "seed": (0, LAST_SEED, True),
    "max_tokens": (1, 2**31 - 1, True),
}
_WHOLE = ("top_k", "seed", "max_tokens")


@dataclass(frozen=True)
class SamplingParams:
    """Settings of one generation. Raises UserError for a value outside its range.

    `top_k` 0, `top_p` 1, `min_p` 0 and `repeat_penalty` 1 each switch their filter off.
    `max_tokens` counts generated tokens.
    """

    temperature: float = 0.2
    top_k: int = 40
    top_p: float = 0.9
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    seed: int = 42
    max_tokens: int = 512

    def __post_init__(self) -> None:
        for name in _RANGES:
            _check(name, getattr(self, name))

    @property
    def greedy(self) -> bool:
        return self.temperature == 0.0

    def with_text(self, key: str, text: str) -> SamplingParams:
        """A copy with `key` read from what a person typed. Raises UserError for a wrong one."""
        if key not in _RANGES:
            raise UserError(f"unknown setting '{key}'", hint=did_you_mean(key, _RANGES))
        whole = key in _WHOLE
        try:
            value: Any = int(text) if whole else float(text)
        except ValueError:
            wanted = "a whole number" if whole else "a number"
            raise UserError(f"{key} = {text!r} is not {wanted}") from None
        return dataclasses.replace(self, **{key: value})

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain values, for JSON."""
        return dataclasses.asdict(self)


def _check(name: str, value: float) -> None:
    low, high, low_allowed = _RANGES[name]
    inside = math.isfinite(value) and low <= value <= high and (low_allowed or value > low)
    if not inside:
        border = f"from {low:g}" if low_allowed else f"above {low:g}"
        raise UserError(f"{name} = {value!r} is out of range", hint=f"{border} to {high:g}")
