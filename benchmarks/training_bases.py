"""Bases with random weights in the shapes of well-known models, and chat rows for them.

Speed and memory hang on shapes and lengths alone, not on what the weights say. `scale` makes a
model narrower in all its widths, the vocabulary among them: the head keeps its share of the work.
`layers` takes layers away, which makes that share larger. What was reduced is told.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

PAD, END, FIRST = 0, 1, 2  # ids: padding, end of a turn, the first of the others
COMMON_IDS = 400  # answers are made of these, so there is something to learn


@dataclass(frozen=True)
class Shape:
    """The widths of a published model, as its `config.json` has them."""

    kind: str
    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool = True

    def reduced(self, layers: int, scale: float) -> Shape:
        """The same in fewer layers (0: as many) and `scale` times as wide."""

        def narrow(width: int, step: int) -> int:
            return max(step, round(width * scale / step) * step)

        kv_heads = max(1, round(self.kv_heads * scale))
        return Shape(
            self.kind,
            narrow(self.hidden, 64),
            narrow(self.inner, 64),
            layers or self.layers,
            kv_heads * max(1, round(self.heads * scale / kv_heads)),
            kv_heads,
            self.head_dim,
            narrow(self.vocabulary, 64),
            self.tied,
        )

    def config(self) -> dict[str, Any]:
        """What transformers reads from `config.json`."""
        return {
            "model_type": self.kind,
            "hidden_size": self.hidden,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "vocab_size": self.vocabulary,
            "tie_word_embeddings": self.tied,
            "max_position_embeddings": 32_768,
            "bos_token_id": None,
            "eos_token_id": END,
            "pad_token_id": PAD,
        } | (GEMMA if self.kind == "gemma3_text" else {})

    @property
    def layer_weights(self) -> int:
        """Weights of the linear layers of all blocks."""
        queries = self.heads * self.head_dim
        attention = 2 * self.hidden * (queries + self.kv_heads * self.head_dim)
        return self.layers * (attention + 3 * self.hidden * self.inner)

    @property
    def head_weights(self) -> int:
        """Weights of the output head."""
        return self.vocabulary * self.hidden

    @property
    def head_share(self) -> float:
        """Of the weights that a token meets, the share of the output head."""
        return self.head_weights / (self.head_weights + self.layer_weights)


GEMMA = {"sliding_window": 512, "query_pre_attn_scalar": 256}
SHAPES = {
    "gemma-270m": Shape("gemma3_text", 640, 2048, 18, 4, 1, 256, 262_144),
    "qwen-0.5b": Shape("qwen2", 896, 4864, 24, 14, 2, 64, 151_936),
    "coder-1.5b": Shape("qwen2", 1536, 8960, 28, 12, 2, 128, 151_936),
    "coder-7b": Shape("qwen2", 3584, 18_944, 28, 28, 4, 128, 152_064, tied=False),
}


def make_base(folder: Path, shape: Shape, device: str = "cpu") -> Path:
    """Write a model of that shape, random in bfloat16, with a tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(**shape.config())
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    return folder


def _tokenizer() -> Any:
    """The rows are tokens already; the trainers only ask for its special ones."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": PAD, "<end>": END, "a": FIRST}
    backend = Tokenizer(models.WordLevel(words, unk_token="a"))
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="<end>")


@dataclass(frozen=True)
class Row:
    """A tokenized row: its ids, and which of them are trained."""

    ids: list[int]
    trained: list[bool]


def chat_rows(
    count: int, vocabulary: int, *, seed: int, mean: int, longest: int, fixed: bool = False
) -> list[Row]:
    """Conversations of one or more turns, trained on the answers: about a third of the tokens.

    Lengths are log-normal about `mean` (sigma 0.8) up to `longest`, or all `mean` where `fixed`.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    rows = []
    for _ in range(count):
        length = mean
        if not fixed:
            drawn = random.lognormal(np.log(mean) - 0.32, 0.8)
            length = int(np.clip(drawn, 16, longest))
        rows.append(_row(random, length, vocabulary))
    return rows


def _row(random: np.random.Generator, length: int, vocabulary: int) -> Row:
    """Turns of about 150 tokens: two thirds of each are asked, a third is answered."""
    turns = max(1, round(length / 150))
    ids = FIRST + np.minimum(random.zipf(1.2, length), vocabulary - FIRST) - 1
    trained = np.zeros(length, bool)
    for n in range(turns):
        start, end = length * n // turns, length * (n + 1) // turns
        begin = start + round((end - start) * random.uniform(0.6, 0.76))
        trained[begin:end] = True
        ids[begin:end] = FIRST + np.minimum(random.zipf(1.5, end - begin), COMMON_IDS) - 1
        ids[end - 1] = END
    return Row(np.minimum(ids, vocabulary - 1).tolist(), trained.tolist())


def write_rows(path: Path, rows: list[Row]) -> None:
    """As the file of examples that a training stage reads; the peers read it too."""
    from workbench.pipeline.training.token_dataset import TokenDataset

    TokenDataset.of(rows).save(path)


def told(shape: Shape, whole: Shape) -> str:
    """What was reduced, and the head's share."""
    parts = []
    if shape.layers != whole.layers:
        parts.append(f"{shape.layers} of {whole.layers} layers")
    if shape.hidden != whole.hidden:
        widths = f"hidden {shape.hidden} of {whole.hidden}"
        parts.append(f"{widths}, vocabulary {shape.vocabulary:,} of {whole.vocabulary:,}")
    reduced = "reduced to " + "; ".join(parts) if parts else "whole"
    return f"{reduced}; the head is {shape.head_share:.0%} of the weights a token meets"


def save_settings(folder: Path, **settings: Any) -> None:
    """The numbers that all programs train by."""
    (folder / "settings.json").write_text(json.dumps(settings))
