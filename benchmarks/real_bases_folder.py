"""Builds a base: the true tokenizer, the true config made smaller, random weights.

Smaller in depth and width only. What decides how a model is trained and exported stays: its
architecture, rope, head sizes, tied or own head, softcaps, special ids, rows of the embedding.
Norms are random too, because ones would hide a norm that is left out.
"""

from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.real_bases_sources import Sources
from benchmarks.real_bases_tokenizers import Facts, RealTokenizer, real_tokenizer
from workbench.core.errors import UserError

TABLE = Path(__file__).with_suffix("").with_name("real_bases.toml")
WIDTH = 256  # of the hidden layers: k-quants take columns in blocks of 256
INNER = 512
LAYERS = 2
SPREAD = 0.05  # standard deviation of the random weights
SMALL = {
    "moe_intermediate_size": 256,
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "kv_lora_rank": 256,
}
SMALL_VISION = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "image_size": 224,
}


def all_facts() -> dict[str, Facts]:
    """The facts of every base by its name, with what they take over from another."""
    bases: dict[str, Facts] = {}
    for facts in tomllib.loads(TABLE.read_text(encoding="utf-8"))["base"]:
        like = bases.get(facts.get("like", ""), {})
        bases[facts["name"]] = _over(like, facts)
    return bases


def facts_of(names: list[str]) -> list[Facts]:
    """The facts of the named bases, all for none. Raises UserError for a name that there is not."""
    bases = all_facts()
    for name in names:
        if name not in bases:
            raise UserError(f"unknown base '{name}'", hint=f"one of {', '.join(bases)}")
    return [bases[name] for name in names or bases]


def build(facts: Facts, sources: Sources, folder: Path) -> RealTokenizer:
    """Write the base into `folder`; returns its tokenizer."""
    tokenizer = real_tokenizer(facts, sources)
    folder.mkdir(parents=True)
    config = shrunk(_plain(facts["config"], tokenizer), facts.get("layers", LAYERS))
    _write_weights(config, folder)
    config |= {"torch_dtype": "bfloat16", "transformers_version": "4.50.0"}
    written = {"config": config, "generation_config": _plain(facts["generation"], tokenizer)}
    for name, values in written.items():
        (folder / f"{name}.json").write_text(json.dumps(values, indent=2), encoding="utf-8")
    tokenizer.write(folder)
    return tokenizer


def shrunk(config: Facts, layers: int) -> Facts:
    """The config with fewer and narrower layers; heads keep their size and their sharing."""
    config = copy.deepcopy(config)
    if "text_config" in config:
        config["text_config"] = shrunk(config["text_config"], layers)
        config["vision_config"] |= SMALL_VISION
        return config
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    size = config.get("head_dim") or config["hidden_size"] // heads
    config["num_attention_heads"] = max(2, WIDTH // size)
    shared = max(1, heads // kv_heads)
    config["num_key_value_heads"] = max(1, config["num_attention_heads"] // shared)
    config |= {"hidden_size": WIDTH, "intermediate_size": INNER, "num_hidden_layers": layers}
    return config | {key: value for key, value in SMALL.items() if key in config}


def _write_weights(config: Facts, folder: Path) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    built = AutoConfig.from_pretrained(folder)
    torch.manual_seed(0)
    how = AutoModelForImageTextToText if "vision_config" in config else AutoModelForCausalLM
    model = how.from_config(built, dtype=torch.float32)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.normal_(std=SPREAD if weight.ndim > 1 else SPREAD * 2)
            if weight.ndim == 1 and "norm" in name and not _counts_from_one(config):
                weight += 1
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size="64MB")


def _counts_from_one(config: Facts) -> bool:
    """Whether the architecture's norms multiply by 1 + weight."""
    return str(config["model_type"]).startswith("gemma")


def _plain(values: Any, tokenizer: RealTokenizer) -> Any:
    """TOML has no null: "none" stands for it; "id:TEXT" for the id of that token."""
    if isinstance(values, dict):
        return {key: _plain(value, tokenizer) for key, value in values.items()}
    if isinstance(values, list):
        return [_plain(value, tokenizer) for value in values]
    if isinstance(values, str) and values.startswith("id:"):
        return tokenizer.id_of(values.removeprefix("id:"))
    return None if values == "none" else values


def _over(under: Mapping[str, Any], facts: Mapping[str, Any]) -> Facts:
    """`facts` over those of `under`, table by table; `generation` and `tokens` whole."""
    merged = dict(under)
    for key, value in facts.items():
        whole = key in ("generation", "tokens") or not isinstance(value, Mapping)
        merged[key] = value if whole else _over(merged.get(key, {}), value)
    return merged
