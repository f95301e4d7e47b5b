"""Tiny random-weight models and tokenizers, built on the spot: 2 layers, 64 wide, no downloads.

Norms and biases are random too: the default initialisation (ones and zeros) hides whole classes
of bugs.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from tokenizers import decoders as token_decoders
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GraniteConfig,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]
SAMPLE_TEXTS = [
    "Write a component that shows a list of users with their name and email.",
    "def UserList(attributes) {\n  <ul>\n    for user in attributes.users {\n  }\n}",
    "The quick brown fox jumps over the lazy dog; 12345 times, größer als ein Vogel.",
]
COMMON: dict[str, Any] = dict(
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=256,
    initializer_range=0.1,
    bos_token_id=None,
    eos_token_id=2,
    pad_token_id=3,
)
SWITCH = 20  # tokens; longer sequences have other rotary frequencies in the last two of CONFIGS
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0 + 0.1 * i for i in range(8)],
    "long_factor": [2.0 + 0.5 * i for i in range(8)],
    "original_max_position_embeddings": SWITCH,
}
CONFIGS: dict[str, Any] = {
    "llama": lambda v: LlamaConfig(vocab_size=v, **COMMON),
    "qwen2": lambda v: Qwen2Config(vocab_size=v, tie_word_embeddings=True, **COMMON),
    "gemma2": lambda v: Gemma2Config(
        vocab_size=v,
        head_dim=16,
        query_pre_attn_scalar=16,
        sliding_window=8,
        attn_logit_softcapping=5.0,
        final_logit_softcapping=3.0,
        **COMMON,
    ),
    "gemma3": lambda v: Gemma3TextConfig(
        vocab_size=v,
        head_dim=16,
        query_pre_attn_scalar=16,
        sliding_window=8,
        layer_types=["sliding_attention", "full_attention"],
        **COMMON,
    ),
    "cohere": lambda v: CohereConfig(vocab_size=v, logit_scale=0.25, **COMMON),
    "granite": lambda v: GraniteConfig(
        vocab_size=v, logits_scaling=3.0, residual_multiplier=0.4, **COMMON
    ),
    "mistral": lambda v: MistralConfig(vocab_size=v, sliding_window=8, **COMMON),
    "phi3": lambda v: Phi3Config(vocab_size=v, original_max_position_embeddings=256, **COMMON),
    "qwen3": lambda v: Qwen3Config(vocab_size=v, head_dim=16, **COMMON),
    "longrope": lambda v: Phi3Config(
        vocab_size=v,
        rope_parameters=LONGROPE,
        original_max_position_embeddings=SWITCH,
        **COMMON,
    ),
    "dynamic": lambda v: LlamaConfig(
        vocab_size=v,
        rope_parameters={"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0},
        **COMMON | {"max_position_embeddings": SWITCH},
    ),
}


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE of a few hundred tokens with ChatML's special ones; pad is not eos."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = token_decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=384, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(SAMPLE_TEXTS * 4, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        chat_template=CHATML,
        clean_up_tokenization_spaces=False,
    )


def model(kind: str = "llama", seed: int = 0, vocab_size: int = 384) -> Any:
    """A random causal model of that architecture in float32."""
    torch.manual_seed(seed)
    made = AutoModelForCausalLM.from_config(CONFIGS[kind](vocab_size))
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "norm" in name:
                parameter.add_(torch.randn_like(parameter) * 0.2)
            elif name.endswith("bias"):
                parameter.copy_(torch.randn_like(parameter) * 0.2)
    return made.eval()


def save_base(folder: Path, kind: str = "llama", seed: int = 0) -> Path:
    """A base in Hugging Face layout: weights, config, tokenizer, chat template."""
    model(kind, seed).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder
