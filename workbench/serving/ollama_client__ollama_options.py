"""The settings of an answer as Ollama's interface takes them; chat and evaluation ask alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.core.sampling import Sampling


def options(sampling: Sampling, stop: Sequence[str], context: int) -> dict[str, Any]:
    """Sampling as Ollama's interface takes it: https://docs.ollama.com/api/chat"""
    return {
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "min_p": sampling.min_p,
        "repeat_penalty": sampling.repeat_penalty,
        "seed": sampling.seed % 2**31,
        "num_predict": sampling.max_tokens,
        "num_ctx": context,
        "stop": list(stop),
    }
