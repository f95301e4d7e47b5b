"""Gemma 1, 2 and 3: norms as 1 + w, tied embeddings, windows and soft caps as keys.

Of a Gemma 3 that sees too (from 4B on) the text model is written, which lies in its checkpoint
under names of its own; larger ones leave out of their config.json what transformers takes for
granted.

llama.cpp multiplies the embeddings by sqrt(hidden) itself, and its tanh-GELU comes from a table:
an exact file differs from transformers by up to 1e-5 nats.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from workbench.architectures.card import Architecture, check_pattern, refuse_unless
from workbench.architectures.model_config import ModelConfig
from workbench.architectures.tensor_layout import Storage
from workbench.core.errors import UserError

GELU = "gelu_pytorch_tanh"
F32_LIMIT = 1e-5
GEMMA3_PATTERN = 6  # every sixth layer sees the whole context; fixed in llama.cpp
GEMMA2_27B_LAYERS, GEMMA3_27B_LAYERS = 46, 62  # llama.cpp knows their attention scale by depth


def _check_gemma2(config: ModelConfig) -> None:
    _check_attention_scale(config, GEMMA2_27B_LAYERS)
    check_pattern(config, 2)


def _check_gemma3(config: ModelConfig) -> None:
    _check_attention_scale(config, GEMMA3_27B_LAYERS)
    check_pattern(config, GEMMA3_PATTERN)
    refuse_unless(config, "attn_logit_softcapping", {None})
    refuse_unless(config, "sliding_window_pattern", {GEMMA3_PATTERN, None})


def _check_attention_scale(config: ModelConfig, known_by_depth: int) -> None:
    """llama.cpp scales by 1/sqrt(head_dim), but for the 27B models."""
    scale = config.get("query_pre_attn_scalar", config.head_dim)
    by_depth = config.need("hidden_size") // config.heads
    wanted = by_depth if config.layers == known_by_depth else config.head_dim
    if scale != wanted:
        message = f"query_pre_attn_scalar = {scale} cannot be expressed in GGUF"
        raise UserError(message, path=config.path, hint=f"only {wanted} is supported")


def _keys_gemma2(writer: Any, config: ModelConfig) -> None:
    writer.add_attn_logit_softcapping(config.need("attn_logit_softcapping"))
    writer.add_final_logit_softcapping(config.need("final_logit_softcapping"))
    writer.add_sliding_window(config.need("sliding_window"))


def _keys_gemma3(writer: Any, config: ModelConfig) -> None:
    writer.add_sliding_window(config.need("sliding_window"))
    writer.add_rope_freq_base_swa(_sliding_theta(config))
    if config.get("final_logit_softcapping"):
        writer.add_final_logit_softcapping(config.get("final_logit_softcapping"))


def _sliding_theta(config: ModelConfig) -> float:
    if "full_attention" in config.get("rope_parameters", {}):
        return config.rope("sliding_attention").theta
    return float(config.get("rope_local_base_freq", 10000.0))


def _blind(config: ModelConfig) -> list[str]:
    return [
        "the files are text-only: the base model's vision tower was neither trained nor exported"
    ]


_COMMON: dict[str, Any] = dict(
    norm_plus_one=True,
    defaults={"tie_word_embeddings": True},
    activation=GELU,
    f32_limit=F32_LIMIT,
)
_GEMMA3_DEFAULTS = {  # transformers' Gemma3TextConfig
    "tie_word_embeddings": True,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "query_pre_attn_scalar": 256,
    "max_position_embeddings": 131072,
    "sliding_window": 4096,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
}
_GEMMA3 = Architecture(
    "Gemma3ForCausalLM",
    "gemma3",
    rope_kinds=("default", "linear"),
    parity_layers=GEMMA3_PATTERN,
    check_more=_check_gemma3,
    more_keys=_keys_gemma3,
    **_COMMON | {"defaults": _GEMMA3_DEFAULTS},
)
_PLACES = (  # in the files, as published and as they are in memory -> in a text model
    ("language_model.model.", "model."),
    ("language_model.lm_head.", "lm_head."),
    ("model.language_model.", "model."),
    ("lm_head.", "lm_head."),
)
FAMILIES = (
    Architecture(
        "GemmaForCausalLM",
        "gemma",
        rope_kinds=("default",),
        activation_alike="gelu",  # as the first releases have it; transformers takes tanh for it
        **_COMMON,
    ),
    Architecture(
        "Gemma2ForCausalLM",
        "gemma2",
        rope_kinds=("default",),
        check_more=_check_gemma2,
        more_keys=_keys_gemma2,
        **_COMMON,
    ),
    _GEMMA3,
    replace(
        _GEMMA3,
        architecture="Gemma3ForConditionalGeneration",
        text_of=_GEMMA3.architecture,
        storage=Storage(text=_PLACES),
        warnings=_blind,
    ),
)
