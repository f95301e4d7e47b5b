"""Small random models of every architecture, tokenizers of every kind, adapters of every variant.

Norms, biases and adapters are random: what starts as ones and zeros hides forgotten +1 and biases.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    Cohere2Config,
    CohereConfig,
    DeepseekV2Config,
    Gemma2Config,
    Gemma3Config,
    Gemma3TextConfig,
    GemmaConfig,
    GraniteConfig,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    Olmo2Config,
    Phi3Config,
    Qwen2Config,
    Qwen2MoeConfig,
    Qwen3Config,
    Qwen3MoeConfig,
    SmolLM3Config,
    Starcoder2Config,
)

from workbench.pipeline.export.parity import Parity, measure
from workbench.pipeline.export.plan import ExportPlan, plan_export
from workbench.pipeline.export.reference_logits import write_reference
from workbench.pipeline.export.streaming import run_export
from workbench.pipeline.export.vocabulary_check import HARD, hard_texts
from workbench.pipeline.models.causal_lm import load_causal
from workbench.pipeline.models.weights import Weights
from workbench.tokenization.pretokenizers import PRETOKENIZERS

CHATML_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
PADDING_ROWS = 8
PROBES = [list(range(3, 60)), list(range(100, 20, -1))]

_ByteLevel = pre_tokenizers.ByteLevel


_STEPS: Mapping[str, Callable[[Any], Any]] = {
    "bytes": lambda value: _ByteLevel(add_prefix_space=False, use_regex=value),
    "split": lambda value: pre_tokenizers.Split(Regex(value), "isolated"),
    "digits": lambda value: pre_tokenizers.Digits(individual_digits=value),
    "punctuation": lambda value: pre_tokenizers.Punctuation(value.lower()),
}
# ways to split that llama.cpp has no equivalent for
STRANGE: Mapping[str, Callable[[], Any]] = {
    "prefix": lambda: _ByteLevel(add_prefix_space=True),
    "noregex": lambda: _ByteLevel(add_prefix_space=False, use_regex=False),
    "whitespace": pre_tokenizers.Whitespace,
}


@cache
def backend_json(kind: str = "gpt-2", vocab: int = 600) -> str:
    """A trained tokenizer as JSON: one of SPLITTINGS, of STRANGE, or `pieces` (gemma)."""
    if kind.startswith("pieces"):
        return _pieces_json(vocab, kind)
    steps, ignore_merges = PRETOKENIZERS.get(kind, ((), False))
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = (
        pre_tokenizers.Sequence([_STEPS[name](value) for name, value in steps])
        if steps
        else STRANGE[kind]()
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=CHATML_TOKENS,
        initial_alphabet=_ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(hard_texts(()) * 3, trainer)
    return str(tokenizer.to_str())


def _pieces_json(vocab: int, kind: str) -> str:
    """SentencePiece-like BPE as transformers saves it: byte fallback, spaces as U+2581."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")
    trainer = trainers.BpeTrainer(
        vocab_size=vocab, special_tokens=["<pad>", "<eos>", "<bos>", "<unk>"], show_progress=False
    )
    tokenizer.train_from_iterator(HARD * 3, trainer)
    values = json.loads(tokenizer.to_str())
    words = values["model"]["vocab"]
    for byte in range(256):
        words[f"<0x{byte:02X}>"] = len(words)
    values["pre_tokenizer"] = None
    replace = values["normalizer"]
    if kind == "pieces-first":
        values["normalizer"] = None
        values["pre_tokenizer"] = {"type": "Metaspace", "replacement": "\u2581"}
        values["pre_tokenizer"] |= {"prepend_scheme": "first", "split": False}
    if kind == "pieces-prefix":
        prepend = {"type": "Prepend", "prepend": "\u2581"}
        values["normalizer"] = {"type": "Sequence", "normalizers": [prepend, replace]}
    values["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "<bos>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<bos>": {"id": "<bos>", "ids": [2], "tokens": ["<bos>"]}},
    }
    return json.dumps(values)


def save_tokenizer(folder: Path, kind: str = "gpt-2", vocab: int = 600, **config: Any) -> Path:
    """The two files that training leaves; `config` overrides tokenizer_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(backend_json(kind, vocab), encoding="utf-8")
    tokens = {"bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    if kind.startswith("pieces"):
        tokens = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"}
    values = json.dumps({**tokens, **config})
    (folder / "tokenizer_config.json").write_text(values, encoding="utf-8")
    return folder


def _common(hidden: int, layers: int) -> dict[str, Any]:
    rows = len(json.loads(backend_json())["model"]["vocab"]) + PADDING_ROWS
    return dict(
        vocab_size=rows,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        rms_norm_eps=1e-5,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
    )


_LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 50000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 128,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 128,
}
_YARN_FACTOR = {**YARN, "attention_factor": 1.3}
_LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}
_LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0 + 0.1 * i for i in range(8)],
    "long_factor": [2.0 + 0.5 * i for i in range(8)],
    "original_max_position_embeddings": 256,
}
_GEMMA3_ROPE = {
    "full_attention": {**_LINEAR, "rope_theta": 1e6},
    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
}
_TOWER = dict(
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=1,
    num_attention_heads=2,
    image_size=28,
    patch_size=14,
)
_SOFT = dict(attn_logit_softcapping=20.0, final_logit_softcapping=15.0)

_FACTORS = dict(
    attention_multiplier=0.3,
    embedding_multiplier=4.0,
    residual_multiplier=0.4,
    logits_scaling=3.0,
)
_SMOOTH = dict(initializer_range=0.15)  # where rounding to F16 adds up to more than 1e-5 nats
_EXPERTS = dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=48)
_LATENT = dict(
    rms_norm_eps=1e-6,
    num_key_value_heads=4,
    kv_lora_rank=32,
    q_lora_rank=None,
    qk_nope_head_dim=16,
    qk_rope_head_dim=16,
    v_head_dim=24,
    n_routed_experts=4,
    n_shared_experts=2,
    num_experts_per_tok=2,
    moe_intermediate_size=48,
    first_k_dense_replace=1,
    routed_scaling_factor=1.5,
)
LATENT_YARN = {**YARN, "mscale": 0.707, "mscale_all_dim": 0.707}

# name -> (config class, head dimension as a multiple of hidden / heads, or 0 for none, settings)
SHAPES: Mapping[str, tuple[Any, int, Mapping[str, Any]]] = {
    "llama": (LlamaConfig, 0, dict(rope_parameters=_LLAMA3_ROPE, tie_word_embeddings=False)),
    "llama-bias": (LlamaConfig, 0, dict(attention_bias=True, tie_word_embeddings=True)),
    "llama-linear": (LlamaConfig, 0, dict(rope_parameters=_LINEAR)),
    "mistral": (MistralConfig, 1, dict(sliding_window=None)),
    "qwen2": (Qwen2Config, 0, dict(tie_word_embeddings=True)),
    "qwen2-yarn": (Qwen2Config, 0, dict(rope_parameters=YARN)),
    "qwen3": (Qwen3Config, 2, {}),
    "gemma": (GemmaConfig, 2, {}),
    "gemma2": (Gemma2Config, 2, dict(sliding_window=8, **_SOFT)),
    "gemma3": (Gemma3TextConfig, 2, dict(sliding_window=8)),
    "gemma3-vision": (Gemma3Config, 2, dict(sliding_window=8, rope_parameters=_GEMMA3_ROPE)),
    "phi3-longrope": (
        Phi3Config,
        0,
        dict(rope_parameters=_LONGROPE, original_max_position_embeddings=256),
    ),
    "phi3": (Phi3Config, 0, dict(sliding_window=None, original_max_position_embeddings=512)),
    "qwen2-yarn-factor": (Qwen2Config, 0, {"rope_parameters": _YARN_FACTOR, **_SMOOTH}),
    "qwen2-moe": (Qwen2MoeConfig, 0, dict(shared_expert_intermediate_size=40, **_EXPERTS)),
    "qwen3-moe": (Qwen3MoeConfig, 2, dict(norm_topk_prob=True, **_EXPERTS)),
    "mixtral": (MixtralConfig, 0, dict(num_local_experts=8, num_experts_per_tok=2)),
    "smollm3": (SmolLM3Config, 0, dict(num_hidden_layers=4, tie_word_embeddings=True, **_SMOOTH)),
    "deepseek2": (DeepseekV2Config, 0, _LATENT),
    "deepseek2-rank": (DeepseekV2Config, 0, {**_LATENT, "q_lora_rank": 24}),
    "deepseek2-yarn": (DeepseekV2Config, 0, {**_LATENT, "rope_parameters": LATENT_YARN}),
    "granite": (GraniteConfig, 0, dict(tie_word_embeddings=True, **_FACTORS)),
    "olmo2": (Olmo2Config, 0, {}),
    "cohere": (CohereConfig, 0, dict(logit_scale=0.25)),
    "cohere2": (Cohere2Config, 0, dict(num_hidden_layers=4, sliding_window=8)),
    "starcoder2": (Starcoder2Config, 0, {}),
}
TABLE_GELU = ("gemma", "starcoder2")  # what llama.cpp rounds: exact to 1e-5 nats only


def config_for(shape: str, *, hidden: int = 64, layers: int = 2) -> Any:
    """The configuration of that name, `hidden` wide."""
    kind, heads, settings = SHAPES[shape]
    values = {**_common(hidden, layers), **settings}
    if heads:
        values["head_dim"] = hidden // 4 * heads
    if shape.startswith(("gemma2", "gemma3")):
        values["query_pre_attn_scalar"] = values["head_dim"]
    if shape.startswith("gemma3"):
        values["num_hidden_layers"] = max(layers, 7)
    if kind is Gemma3Config:
        return kind(text_config=values, vision_config=_TOWER, mm_tokens_per_image=1)
    return kind(**values)


def save_base(
    folder: Path,
    shape: str,
    *,
    hidden: int = 64,
    layers: int = 2,
    dtype: torch.dtype = torch.float32,
    shard: str = "60KB",
    seed: int = 0,
) -> Path:
    """A random model in Hugging Face layout, in several shards, with the gpt-2 tokenizer."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config_for(shape, hidden=hidden, layers=layers))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.add_(torch.randn_like(parameter) * 0.3)
            elif name.endswith("bias"):
                parameter.copy_(torch.randn_like(parameter) * 0.2)
    model.to(dtype).save_pretrained(folder, max_shard_size=shard)
    save_tokenizer(folder)
    return folder


def save_adapter(
    base: Path,
    folder: Path,
    *,
    seed: int = 1,
    added_rows: int = 0,
    quantization_config: Any = None,
    **settings: Any,
) -> Path:
    """A random LoRA on `base`; `settings` as LoraConfig takes them."""
    torch.manual_seed(seed)
    model = load_causal(base, dtype=torch.float32, quantization_config=quantization_config)
    if added_rows:
        rows = model.config.vocab_size + added_rows
        model.resize_token_embeddings(rows, mean_resizing=False)
    values: dict[str, Any] = dict(r=4, lora_alpha=8, target_modules="all-linear") | settings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tuned = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **values))
        _randomise(tuned)
        tuned.save_pretrained(folder)
    return folder


@torch.no_grad()
def _randomise(tuned: Any) -> None:
    for name, parameter in tuned.named_parameters():
        if not parameter.requires_grad:
            continue
        noise = torch.randn_like(parameter)
        if "lora_magnitude" in name:
            parameter.mul_(1 + 0.1 * noise)
        elif "lora_" in name:
            parameter.copy_(noise * 0.1)
        elif any(n in name for n in ("modules_to_save", "trainable_tokens", "bias")):
            parameter.add_(noise * 0.05)


def plan(weights: Weights, types: Sequence[str], **settings: Any) -> ExportPlan:
    """A plan with the tokenizer that lies in the base."""
    return plan_export(weights, types, weights.base, **settings)


def export(weights: Weights, folder: Path, *types: str) -> dict[str, Path]:
    """The files of all `types`, by type."""
    paths = {kind: folder / f"{kind}.gguf" for kind in types}
    run_export(plan(weights, types), paths, threads=1)
    return paths


def parities(weights: Weights, folder: Path, *types: str) -> dict[str, Parity]:
    """Each type's parity with transformers and peft, on PROBES."""
    planned = plan(weights, types)
    paths = export(weights, folder, *types)
    work = folder / "reference"
    work.mkdir()
    reference = write_reference(
        weights, PROBES, work, rows=planned.vocabulary_size, layers=planned.config.layers
    )
    return {k: measure(k, p, PROBES, reference, ids_equal=True) for k, p in paths.items()}
