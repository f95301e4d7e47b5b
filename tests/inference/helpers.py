"""A tiny GGUF built on the spot: Qwen2 shape, random weights, byte-level BPE, ChatML.

Random weights write random bytes, which is just what streaming, UTF-8 and caches need. With `says`
the model is a chain instead: after a line break it says these bytes, each followed by the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>")
MERGES = ("h e", "l l", "he ll", "Ġ t", "Ġt he", "o n")
END = 2  # id of <|im_end|>


@dataclass(frozen=True)
class Tiny:
    """What the tiny model looks like; every field may be set by a test that needs it other."""

    seed: int = 0
    hidden: int = 64
    layers: int = 2
    context: int = 1024
    template: str | None = CHATML
    add_bos: bool = False
    bos: int | None = None
    says: bytes = b""  # no byte twice, no line break
    then_stops: bool = True
    ending: int = END
    extra: dict[str, Any] = field(default_factory=dict)


def byte_symbols() -> list[str]:
    """The 256 printable stand-ins of byte-level BPE (GPT-2's `bytes_to_unicode`), by byte."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    return [chr(b) if b in kept else chr(next(spare)) for b in range(256)]


def vocabulary() -> tuple[list[str], list[int]]:
    merged = [merge.replace(" ", "") for merge in MERGES]
    tokens = [*SPECIALS, *byte_symbols(), *merged]
    control, normal = int(gguf.TokenType.CONTROL), int(gguf.TokenType.NORMAL)
    types = [control] * len(SPECIALS) + [normal] * (len(tokens) - len(SPECIALS))
    return tokens, types


def write_tiny(path: Path, tiny: Tiny = Tiny()) -> Path:
    """Write the model as an F32 GGUF and return `path`."""
    tokens, types = vocabulary()
    writer = gguf.GGUFWriter(path, "qwen2")
    _shape(writer, tiny, len(tokens))
    _tokenizer(writer, tiny, tokens, types)
    for name, value in weights(tiny, len(tokens)).items():
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _shape(writer: gguf.GGUFWriter, tiny: Tiny, n_vocab: int) -> None:
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name("tiny")
    writer.add_file_type(0)
    writer.add_block_count(tiny.layers)
    writer.add_context_length(tiny.context)
    writer.add_embedding_length(tiny.hidden)
    writer.add_feed_forward_length(2 * tiny.hidden)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(n_vocab)
    for key, value in tiny.extra.items():
        writer.add_string(key, value)


def _tokenizer(
    writer: gguf.GGUFWriter, tiny: Tiny, tokens: Sequence[str], types: Sequence[int]
) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(list(tokens))
    writer.add_token_types(list(types))
    writer.add_token_merges(list(MERGES))
    writer.add_eos_token_id(END)
    writer.add_bos_token_id(END if tiny.bos is None else tiny.bos)
    writer.add_pad_token_id(3)
    writer.add_add_bos_token(tiny.add_bos)
    writer.add_add_eos_token(False)
    if tiny.template is not None:
        writer.add_chat_template(tiny.template)


def weights(tiny: Tiny, n_vocab: int) -> dict[str, np.ndarray]:
    """Random tensors by GGUF name, in row-major (out, in) shape."""
    random = np.random.default_rng(tiny.seed)
    width, kv = tiny.hidden, tiny.hidden // 2

    def normal(*shape: int, scale: float = 1.0) -> np.ndarray:
        spread = scale / float(np.sqrt(shape[-1]))
        return (random.standard_normal(shape) * spread).astype(np.float32)

    def near_one(n: int) -> np.ndarray:
        return (1 + 0.1 * random.standard_normal(n)).astype(np.float32)

    tensors = {"token_embd.weight": normal(n_vocab, width, scale=4.0)}
    for i in range(tiny.layers):
        block = f"blk.{i}"
        tensors[f"{block}.attn_norm.weight"] = near_one(width)
        tensors[f"{block}.ffn_norm.weight"] = near_one(width)
        for name, rows in (("q", width), ("k", kv), ("v", kv)):
            tensors[f"{block}.attn_{name}.weight"] = normal(rows, width, scale=2.0)
            tensors[f"{block}.attn_{name}.bias"] = normal(rows)
        tensors[f"{block}.attn_output.weight"] = normal(width, width, scale=2.0)
        tensors[f"{block}.ffn_gate.weight"] = normal(2 * width, width, scale=2.0)
        tensors[f"{block}.ffn_up.weight"] = normal(2 * width, width, scale=2.0)
        tensors[f"{block}.ffn_down.weight"] = normal(width, 2 * width, scale=2.0)
    tensors["output_norm.weight"] = near_one(width)
    tensors["output.weight"] = normal(n_vocab, width, scale=4.0)
    if tiny.says:
        _chain(tensors, tiny)
    return tensors


def write_adapter(path: Path, tiny: Tiny = Tiny(), seed: int = 7, rank: int = 4) -> Path:
    """A random LoRA for the model of `tiny`, on every matrix of its layers."""
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, 8.0)
    for name, value in weights(tiny, 1).items():
        if name.startswith("blk.") and value.ndim == 2:
            rows, columns = value.shape
            for part, shape in (("a", (rank, columns)), ("b", (rows, rank))):
                factor = random.standard_normal(shape).astype(np.float32)
                writer.add_tensor(f"{name}.lora_{part}", factor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def byte_id(byte: int) -> int:
    """The token that stands for one byte."""
    return len(SPECIALS) + byte


def _chain(tensors: dict[str, np.ndarray], tiny: Tiny) -> None:
    """Without attention and feed-forward the last token alone decides what follows."""
    assert len(set(tiny.says)) == len(tiny.says) and b"\n" not in tiny.says
    for name in tensors:
        if "attn_output" in name or "ffn_down" in name:
            tensors[name][:] = 0
    ids = [byte_id(byte) for byte in b"\n" + tiny.says]
    ids.append(tiny.ending if tiny.then_stops else ids[-1])
    tensors["output_norm.weight"][:] = 1
    tensors["output.weight"][:] = 0
    for token, following in zip(ids, ids[1:], strict=False):
        embedding = tensors["token_embd.weight"][token]
        tensors["output.weight"][following] += 20 * embedding / np.linalg.norm(embedding)
