"""StarCoder2: layer norms and matrices with biases, a feed-forward of two matrices with tanh-GELU.

llama.cpp takes that GELU from a table: an exact file differs by up to 1e-5 nats.
"""

from __future__ import annotations

from workbench.architectures.card import Architecture, refuse_unless, window_warning
from workbench.architectures.model_config import ModelConfig


def _check(config: ModelConfig) -> None:
    refuse_unless(config, "use_bias", {True, None})


FAMILIES = (
    Architecture(
        "Starcoder2ForCausalLM",
        "starcoder2",
        activation="gelu_pytorch_tanh",
        f32_limit=1e-5,
        layer_norm="norm_epsilon",
        defaults={"tie_word_embeddings": True},
        check_more=_check,
        warnings=window_warning,
    ),
)
