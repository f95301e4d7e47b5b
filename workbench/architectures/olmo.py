"""OLMo 2: norms after attention and feed-forward, and over whole queries and keys."""

from __future__ import annotations

from workbench.architectures.card import Architecture, refuse_unless
from workbench.architectures.model_config import ModelConfig


def _check(config: ModelConfig) -> None:
    refuse_unless(config, "attention_bias", {False, None})
    refuse_unless(config, "tie_word_embeddings", {False, None})


FAMILIES = (Architecture("Olmo2ForCausalLM", "olmo2", check_more=_check),)
