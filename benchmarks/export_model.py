"""Random Llama-shaped models for the export's benchmarks: base, tokenizer, a LoRA on all linears.

`repeated` writes a layer once, and every layer's names point at it: a file as small as one layer
that reads like one of any depth. Only a reader by offsets, such as ours, takes it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RANK, SHARDS = 16, 3
VOCABULARY = 128_256
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Size:
    """A Llama's widths and layers; the head is tied to the embedding."""

    layers: int
    hidden: int = 2048
    inner: int = 8192
    heads: int = 32
    kv_heads: int = 8

    @property
    def parameters(self) -> int:
        return sum(math.prod(shape) for shape in shapes(self).values())


SMALLEST, ONE_B = Size(1), Size(16)  # 0.32 B, and Llama-3.2-1B's own 1.24 B
SEVEN_B = Size(32, hidden=4096, inner=14336)  # 7.5 B with this vocabulary


def size_of(billions: float) -> Size:
    """The size of about so many parameters, at least two layers."""
    one, two = Size(1).parameters, Size(2).parameters
    return Size(max(2, 1 + round((billions * 1e9 - one) / (two - one))))


def shapes(size: Size) -> Shapes:
    """Hugging Face names with shapes."""
    hidden, keys = size.hidden, size.hidden * size.kv_heads // size.heads
    found: Shapes = {"model.embed_tokens.weight": (VOCABULARY, hidden)}
    for n in range(size.layers):
        at = f"model.layers.{n}"
        for name, rows in (("q", hidden), ("k", keys), ("v", keys), ("o", hidden)):
            found[f"{at}.self_attn.{name}_proj.weight"] = (rows, hidden)
        for name, shape in (("gate", (size.inner, hidden)), ("up", (size.inner, hidden))):
            found[f"{at}.mlp.{name}_proj.weight"] = shape
        found[f"{at}.mlp.down_proj.weight"] = (hidden, size.inner)
        for name in ("input", "post_attention"):
            found[f"{at}.{name}_layernorm.weight"] = (hidden,)
    return found | {"model.norm.weight": (hidden,)}


def make_model(folder: Path, size: Size, *, repeated: bool = False) -> None:
    """Write `base` and `adapter` below `folder`, bfloat16 in three shards and float32."""
    from tests.pipeline.export.helpers import save_tokenizer

    base, adapter = folder / "base", folder / "adapter"
    save_tokenizer(base)
    adapter.mkdir()
    named = shapes(size)
    if repeated:
        _save_repeated(base / "model.safetensors", named, "BF16")
        _save_repeated(adapter / "adapter_model.safetensors", _factors(named), "F32")
    else:
        _save_shards(base, named)
        _save(adapter / "adapter_model.safetensors", _factors(named), float32=True)
    (base / "config.json").write_text(json.dumps(_config(size)))
    modules = sorted({name.split(".")[-2] for name in named if "proj" in name})
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": 32, "task_type": "CAUSAL_LM"}
    config |= {"target_modules": modules, "base_model_name_or_path": "base"}
    (adapter / "adapter_config.json").write_text(json.dumps(config))


def _config(size: Size) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": size.hidden,
        "intermediate_size": size.inner,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.kv_heads,
        "max_position_embeddings": 2048,
        "vocab_size": VOCABULARY,
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0},
        "dtype": "bfloat16",
        "bos_token_id": None,
        "eos_token_id": 2,
    }


def _factors(named: Shapes) -> Shapes:
    """The factors of a LoRA on every linear layer."""
    found: Shapes = {}
    for name, shape in named.items():
        if "proj" in name:
            place = f"base_model.model.{name.removesuffix('.weight')}"
            found[f"{place}.lora_A.weight"] = (RANK, shape[1])
            found[f"{place}.lora_B.weight"] = (shape[0], RANK)
    return found


def _save_shards(folder: Path, named: Shapes) -> None:
    names, listed = list(named), dict[str, str]()
    for i in range(SHARDS):
        file = f"model-{i + 1:05}-of-{SHARDS:05}.safetensors"
        part = names[len(names) * i // SHARDS : len(names) * (i + 1) // SHARDS]
        _save(folder / file, {name: named[name] for name in part})
        listed |= dict.fromkeys(part, file)
    index = {"metadata": {}, "weight_map": listed}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _save(path: Path, named: Mapping[str, tuple[int, ...]], *, float32: bool = False) -> None:
    from safetensors.torch import save_file

    made = {name: _random(shape, i) for i, (name, shape) in enumerate(named.items())}
    save_file({name: t.float() if float32 else t for name, t in made.items()}, path)


def _save_repeated(path: Path, named: Shapes, dtype: str) -> None:
    """The tensors of one layer, under the names of all layers."""
    import torch

    header: dict[str, Any] = {}
    written = dict[str, list[int]]()
    with open(path.with_suffix(".data"), "wb") as data:
        for name, shape in named.items():
            kind = ".".join(part for part in name.split(".") if not part.isdigit())
            if kind not in written:
                made = _random(shape, len(written))
                raw = made.float() if dtype == "F32" else made.view(torch.uint16)
                first = data.tell()
                raw.numpy().tofile(data)
                written[kind] = [first, data.tell()]
            header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": written[kind]}
    text = json.dumps(header).encode()
    with open(path, "wb") as file, open(path.with_suffix(".data"), "rb") as data:
        file.write(len(text).to_bytes(8, "little") + text)
        while piece := data.read(16 << 20):
            file.write(piece)
    path.with_suffix(".data").unlink()


def _random(shape: tuple[int, ...], seed: int) -> Any:
    import torch

    torch.manual_seed(seed)
    made = torch.randn(shape, dtype=torch.bfloat16) * 0.02
    return made + 1 if len(shape) == 1 else made
