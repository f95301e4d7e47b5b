"""What is particular to each family of models, as their published configurations have it.

Widths and depths are a miniature's; kinds of attention, norms, soft caps, rotary scaling, tied
heads and experts are the family's own. Widths are multiples of 256, which k-quants need.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

WIDTH, INNER, HEADS, HEAD_DIM = 256, 512, 4, 64


@dataclass(frozen=True)
class MiniatureTokenizer:
    """A tokenizer's kind: how it splits text, its special tokens and what they are for.

    `splitting` is `pieces` (SentencePiece's way), `pieces-prefix` (with a space put before),
    `pieces-first` (before the first word only), or llama.cpp's name for a byte-level one, in
    `tokenization.pretokenizers`. `eos` ends an answer of an instruct model, `base_eos` of a
    base model. `stripping` tokens swallow the spaces after them.
    """

    splitting: str
    special: tuple[str, ...]
    eos: str
    pad: str
    bos: str = ""
    base_eos: str = ""
    nfc: bool = False
    stripping: tuple[str, ...] = ()


@dataclass(frozen=True)
class Miniature:
    """A family: transformers' `model_type`, its settings, tokens and chat template's file.

    `vision`: the settings of a tower beside the text model, for a model that sees too.
    """

    model_type: str
    tokens: MiniatureTokenizer
    template: str
    settings: dict[str, Any] = field(default_factory=dict)
    vision: dict[str, Any] = field(default_factory=dict)


_GEMMA_TOKENS = MiniatureTokenizer(
    "pieces",
    ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"),
    eos="<eos>",
    pad="<pad>",
    bos="<bos>",
)
_QWEN_TOKENS = MiniatureTokenizer(
    "qwen2",
    ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    eos="<|im_end|>",
    base_eos="<|endoftext|>",
    pad="<|endoftext|>",
    nfc=True,
)
_QWEN3_TOKENS = MiniatureTokenizer(
    "qwen2",
    (*_QWEN_TOKENS.special, "<think>", "</think>", "<tool_call>", "</tool_call>"),
    eos="<|im_end|>",
    base_eos="<|endoftext|>",
    pad="<|endoftext|>",
    nfc=True,
)
_LLAMA3_TOKENS = MiniatureTokenizer(
    "llama-bpe",
    (
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
        "<|finetune_right_pad_id|>",
    ),
    eos="<|eot_id|>",
    base_eos="<|end_of_text|>",
    pad="<|finetune_right_pad_id|>",
    bos="<|begin_of_text|>",
)
_SENTENCE_TOKENS = ("<unk>", "<s>", "</s>")
_PHI_TOKENS = ("<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
_LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
_GEMMA = dict(
    head_dim=HEAD_DIM,
    hidden_activation="gelu_pytorch_tanh",
    tie_word_embeddings=True,
    rms_norm_eps=1e-6,
    max_position_embeddings=8192,
)
_EXPERTS: dict[str, Any] = dict(
    num_experts=4, num_experts_per_tok=2, moe_intermediate_size=256, norm_topk_prob=True
)
_DEEPSEEK_ROPE = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 40.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "mscale": 0.707,
    "mscale_all_dim": 0.707,
    "original_max_position_embeddings": 4096,
}
_GEMMA3: dict[str, Any] = {
    **_GEMMA,
    "num_hidden_layers": 6,  # five with a window, then one without
    "query_pre_attn_scalar": HEAD_DIM,
    "sliding_window": 64,
}
_GEMMA3_ROPE = {  # the larger ones stretch the layers that see all
    "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
}
_SIGLIP = dict(
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=1,
    num_attention_heads=2,
    image_size=56,
    patch_size=14,
)
_QWEN3 = dict(head_dim=HEAD_DIM, rms_norm_eps=1e-6, tie_word_embeddings=True)

CARDS: dict[str, Miniature] = {
    "gemma": Miniature("gemma", _GEMMA_TOKENS, "gemma", {**_GEMMA, "num_key_value_heads": 1}),
    "gemma2": Miniature(
        "gemma2",
        _GEMMA_TOKENS,
        "gemma",
        {
            **_GEMMA,
            "query_pre_attn_scalar": HEAD_DIM,
            "attn_logit_softcapping": 50.0,
            "final_logit_softcapping": 30.0,
            "sliding_window": 64,
        },
    ),
    "gemma3": Miniature(
        "gemma3_text", _GEMMA_TOKENS, "gemma", {**_GEMMA3, "num_key_value_heads": 1}
    ),
    "gemma3-vision": Miniature(
        "gemma3", _GEMMA_TOKENS, "gemma", {**_GEMMA3, "rope_parameters": _GEMMA3_ROPE}, _SIGLIP
    ),
    "qwen2": Miniature("qwen2", _QWEN_TOKENS, "qwen2", {"rms_norm_eps": 1e-6}),
    "qwen3": Miniature("qwen3", _QWEN3_TOKENS, "qwen3", _QWEN3),
    "qwen3-moe": Miniature(
        "qwen3_moe", _QWEN3_TOKENS, "qwen3", {**_QWEN3, **_EXPERTS, "tie_word_embeddings": False}
    ),
    "llama3": Miniature(
        "llama",
        _LLAMA3_TOKENS,
        "llama3",
        {
            "rope_parameters": _LLAMA3_ROPE,
            "tie_word_embeddings": True,
            "rms_norm_eps": 1e-5,
            "max_position_embeddings": 131072,
        },
    ),
    "smollm2": Miniature(
        "llama",
        MiniatureTokenizer(
            "smollm",
            ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
            eos="<|im_end|>",
            base_eos="<|endoftext|>",
            pad="<|im_end|>",
        ),
        "chatml",
        {"tie_word_embeddings": True, "rms_norm_eps": 1e-5, "max_position_embeddings": 8192},
    ),
    "smollm3": Miniature(
        "smollm3",
        MiniatureTokenizer(
            "llama-bpe",
            ("<|begin_of_text|>", "<|end_of_text|>", "<|im_start|>", "<|im_end|>"),
            eos="<|im_end|>",
            base_eos="<|end_of_text|>",
            pad="<|end_of_text|>",
        ),
        "chatml",
        {"tie_word_embeddings": True, "pad_token_id": None},
    ),
    "tinyllama": Miniature(
        "llama",
        MiniatureTokenizer("pieces-prefix", _SENTENCE_TOKENS, eos="</s>", pad="</s>", bos="<s>"),
        "zephyr",
        {"tie_word_embeddings": False, "max_position_embeddings": 2048},
    ),
    "mistral": Miniature(
        "mistral",
        MiniatureTokenizer(
            "pieces-first",
            (*_SENTENCE_TOKENS, "[INST]", "[/INST]"),
            eos="</s>",
            pad="</s>",
            bos="<s>",
        ),
        "mistral",
        {"sliding_window": None, "head_dim": HEAD_DIM, "max_position_embeddings": 32768},
    ),
    "phi3": Miniature(
        "phi3",
        MiniatureTokenizer(
            "pieces",
            (*_SENTENCE_TOKENS, *_PHI_TOKENS),
            eos="<|end|>",
            base_eos="<|endoftext|>",
            pad="<|endoftext|>",
            bos="<s>",
            stripping=("</s>", *_PHI_TOKENS[1:]),
        ),
        "phi3",
        {"sliding_window": None, "num_key_value_heads": HEADS},
    ),
    "phi4": Miniature(
        "phi3",
        MiniatureTokenizer(
            "gpt-4o",
            _PHI_TOKENS,
            eos="<|end|>",
            base_eos="<|endoftext|>",
            pad="<|endoftext|>",
        ),
        "phi4",
        {"sliding_window": None, "tie_word_embeddings": True},
    ),
    "deepseek2": Miniature(
        "deepseek_v2",
        MiniatureTokenizer(
            "deepseek-llm",
            ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
            eos="<｜end▁of▁sentence｜>",
            pad="<｜end▁of▁sentence｜>",
            bos="<｜begin▁of▁sentence｜>",
        ),
        "deepseek",
        {
            "num_key_value_heads": HEADS,
            "kv_lora_rank": 256,
            "q_lora_rank": None,
            "qk_nope_head_dim": 32,
            "qk_rope_head_dim": 32,
            "v_head_dim": HEAD_DIM,
            "n_routed_experts": 4,
            "n_shared_experts": 2,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 256,
            "first_k_dense_replace": 1,
            "topk_method": "greedy",
            "norm_topk_prob": False,
            "routed_scaling_factor": 1.0,
            "n_group": 1,
            "topk_group": 1,
            "rope_parameters": _DEEPSEEK_ROPE,
            "max_position_embeddings": 163840,
        },
    ),
}


def settings(card: Miniature, rows: int, ids: dict[str, int | None]) -> dict[str, Any]:
    """The whole configuration of a miniature with `rows` rows of embeddings.

    `ids`: the tokens that begin, end and fill (`bos_token_id` and so on).
    """
    common: dict[str, Any] = dict(
        vocab_size=rows,
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=4,
        num_attention_heads=HEADS,
        num_key_value_heads=2,
        max_position_embeddings=4096,
    )
    text = {**common, **card.settings, **ids}
    return {"text_config": text, "vision_config": card.vision, **ids} if card.vision else text
