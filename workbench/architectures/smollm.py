"""SmolLM3: a Llama whose every fourth layer has no rotary embedding, fixed so in llama.cpp."""

from __future__ import annotations

from workbench.architectures.card import Architecture, refuse_unless
from workbench.architectures.llama import rotary_keys
from workbench.architectures.model_config import ModelConfig
from workbench.core.errors import UserError

INTERVAL = 4


def _check(config: ModelConfig) -> None:
    for key in ("use_sliding_window", "attention_bias", "mlp_bias"):
        refuse_unless(config, key, {False, None})
    rotated = config.get("no_rope_layers")
    if rotated is None:
        refuse_unless(config, "no_rope_layer_interval", {INTERVAL, None})
        return
    for layer, has_rope in enumerate(rotated[: config.layers]):
        if bool(has_rope) == ((layer + 1) % INTERVAL == 0):
            message = (
                f"no_rope_layers: layer {layer} is {has_rope}; llama.cpp expects another order"
            )
            raise UserError(message, path=config.path)


FAMILIES = (
    Architecture(
        "SmolLM3ForCausalLM",
        "smollm3",
        permute=True,
        defaults={"tie_word_embeddings": True, "rope_theta": 2e6},
        parity_layers=INTERVAL,
        check_more=_check,
        more_keys=rotary_keys,
    ),
)
