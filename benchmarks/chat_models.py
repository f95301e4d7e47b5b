"""Random models in the shape of well-known ones, and LoRA adapters on them, written as GGUFs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from tests.inference.helpers import CHATML, END, MERGES, SPECIALS, byte_symbols
from workbench.inference.quantization import kind_named, quantize

RANK = 16


@dataclass(frozen=True)
class Shape:
    """A Qwen2 of this size, its head tied to the embedding."""

    name: str
    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    context: int = 4096

    @property
    def matrices(self) -> Iterator[tuple[str, int, int]]:
        """GGUF name, rows and columns of every matrix that an adapter may be on."""
        keys = self.hidden * self.kv_heads // self.heads
        for n in range(self.layers):
            for name, rows in (("q", self.hidden), ("k", keys), ("v", keys)):
                yield f"blk.{n}.attn_{name}.weight", rows, self.hidden
            yield f"blk.{n}.attn_output.weight", self.hidden, self.hidden
            yield f"blk.{n}.ffn_gate.weight", self.inner, self.hidden
            yield f"blk.{n}.ffn_up.weight", self.inner, self.hidden
            yield f"blk.{n}.ffn_down.weight", self.hidden, self.inner


HALF_BILLION = Shape("0.5 B", 896, 4864, 24, 14, 2, 151_936)  # Qwen2.5-0.5B
SMALL = Shape("3 M", 256, 768, 3, 4, 2, 3072)  # the base that ships with the workbench


def make(shape: Shape, kind: str, folder: Path) -> Path:
    """The model as a file of that type in `folder`, unless it is there."""
    path = folder / f"{_plain(shape)}-{kind}.gguf"
    if not path.exists():
        source = folder / f"{_plain(shape)}-f16.gguf"
        if not source.exists():
            _write(shape, source)
        if kind != "f16":
            quantize(source, path, kind_named(kind), threads=2)
    return path


def make_adapters(shape: Shape, folder: Path, count: int) -> list[Path]:
    """So many LoRAs of rank 16 on every matrix, in float32, as following a training writes them."""
    paths = [folder / f"{_plain(shape)}-lora-{number}.gguf" for number in range(count)]
    for number, path in enumerate(paths):
        if not path.exists():
            _write_adapter(shape, path, np.random.default_rng(number))
    return paths


def _plain(shape: Shape) -> str:
    return shape.name.replace(" ", "").replace(".", "_")


def _write(shape: Shape, path: Path) -> None:
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "qwen2")
    _tell(writer, shape)
    embedding = _normal(random, shape.vocabulary, shape.hidden)
    writer.add_tensor("token_embd.weight", embedding)
    for name, rows, columns in shape.matrices:
        writer.add_tensor(name, _normal(random, rows, columns))
        if "attn_" in name and "output" not in name:
            writer.add_tensor(name.replace("weight", "bias"), np.zeros(rows, np.float32))
    for n in range(shape.layers):
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{n}.{norm}.weight", np.ones(shape.hidden, np.float32))
    writer.add_tensor("output_norm.weight", np.ones(shape.hidden, np.float32))
    _close(writer)


def _tell(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(shape.name)
    writer.add_file_type(1)
    writer.add_block_count(shape.layers)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e6)
    writer.add_vocab_size(shape.vocabulary)
    known = [*SPECIALS, *byte_symbols(), *(merge.replace(" ", "") for merge in MERGES)]
    words = [*known, *(f"Ġw{n}" for n in range(shape.vocabulary - len(known)))]
    control, normal = int(gguf.TokenType.CONTROL), int(gguf.TokenType.NORMAL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(words)
    writer.add_token_types([control if n < len(SPECIALS) else normal for n in range(len(words))])
    writer.add_token_merges(list(MERGES))
    writer.add_eos_token_id(END)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHATML)


def _write_adapter(shape: Shape, path: Path, random: np.random.Generator) -> None:
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, 2.0 * RANK)
    for name, rows, columns in shape.matrices:
        for part, size in (("a", (RANK, columns)), ("b", (rows, RANK))):
            writer.add_tensor(f"{name}.lora_{part}", _normal(random, *size).astype(np.float32))
    _close(writer)


def _normal(random: np.random.Generator, rows: int, columns: int) -> NDArray[np.float16]:
    made = random.standard_normal((rows, columns), dtype=np.float32)
    return (made / np.sqrt(columns)).astype(np.float16)


def _close(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
