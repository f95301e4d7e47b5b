"""A small base of each family as people have it: weights, tokenizer, template, special tokens."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from tests.dataset.helpers import STYLES, byte_level_backend, chat, encode_rows, stop_id, template
from tests.pipeline.export.helpers import PADDING_ROWS, backend_json, config_for
from tests.pipeline.training.helpers import Bench
from workbench.dataset.rows import Row
from workbench.pipeline.models.base_model import save_tokenizer
from workbench.pipeline.models.tokenizer_loading import load_tokenizer
from workbench.pipeline.models.weights import Weights
from workbench.pipeline.training.token_dataset import TokenDataset
from workbench.tokenization.sequences import TrainingSequence
from workbench.tokenization.tokenizer import from_backend


@dataclass(frozen=True)
class Family:
    """A shape of `tests.pipeline.export.helpers`, a style of `tests.dataset.helpers`, and a way to
    split words, by llama.cpp's name."""

    shape: str
    style: str
    words: str


FAMILIES = {
    "llama": Family("llama", "llama3", "llama-bpe"),
    "qwen2": Family("qwen2", "chatml", "qwen2"),
    "gemma2": Family("gemma2", "gemma", "gpt-2"),
    "gemma3": Family("gemma3", "gemma-built-in", "gpt-2"),
}
ROWS = [
    chat("List the users.", "def UserList(attributes) {\n  <ul>\n}", "And größer?", "Ja – ✓ 🦊"),
    chat("Show a name", "<p>name</p>"),
    chat("What is it?", "A loan, as a fox jumps over it."),
    chat("x", "The quick brown fox jumps over the lazy dog; " * 2),
    chat("Write " * 9, "y"),
    chat("How many?", "12345 times", "Why?", "  because: it is  so"),
]


def save(folder: Path, family: Family) -> Path:
    """The base in Hugging Face layout; its tokenizer pads with the stop token."""
    _, bos, eos, stop = STYLES[family.style]
    backend = tokenizer_of(family)
    config = config_for(family.shape)
    config.vocab_size = backend.get_vocab_size() + PADDING_ROWS
    if family.shape == "llama":
        config.attention_bias = config.mlp_bias = True
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    _randomise(model)
    model.generation_config.eos_token_id = [backend.token_to_id(stop)]
    model.generation_config.pad_token_id = 0
    model.save_pretrained(folder, max_shard_size="200KB")
    PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=bos or None,
        eos_token=eos,
        pad_token=stop,
        chat_template=STYLES[family.style][0],
        clean_up_tokenization_spaces=False,
    ).save_pretrained(folder)
    return folder


def tokenizer_of(family: Family) -> Tokenizer:
    """Byte-level, with the control tokens of every style and the family's way to split words."""
    values = json.loads(byte_level_backend(STYLES[family.style][1]).to_str())
    like = json.loads(backend_json(family.words))
    values["pre_tokenizer"] = like["pre_tokenizer"]
    values["model"]["ignore_merges"] = like["model"]["ignore_merges"]
    return Tokenizer.from_str(json.dumps(values))


@torch.no_grad()
def _randomise(model: Any) -> None:
    """What starts as ones and zeros hides forgotten factors and biases."""
    for name, parameter in model.named_parameters():
        if "norm" in name or name.endswith("bias"):
            parameter.add_(torch.randn_like(parameter) * 0.2)


class Home(Bench):
    """A base of a family with `ROWS` to learn, and a run's folder below `root`."""

    def __init__(self, root: Path, base: Path, family: Family) -> None:
        self.root, self.base, self.family = root, base, family
        self.train_file, self.validation_file = root / "t.safetensors", root / "v.safetensors"
        self.tokenizer = load_tokenizer(base)
        self.backend = from_backend(self.tokenizer.backend_tokenizer)
        self.template = template(family.style)
        self.stop = stop_id(family.style, self.backend)
        self.learn(ROWS)
        self.examples(ROWS[:3]).save(self.validation_file)

    def encode(self, rows: Iterable[Row]) -> list[TrainingSequence]:
        """Every row as training sees it."""
        found = encode_rows(
            rows, self.template, self.backend, sequence_length=400, stop_ids=(self.stop,)
        )
        return found.sequences

    def examples(self, rows: Iterable[Row]) -> TokenDataset:
        return TokenDataset.of(self.encode(rows))

    def learn(self, rows: Iterable[Row]) -> TokenDataset:
        """Train on these rows from here on."""
        found = self.examples(rows)
        found.save(self.train_file)
        return found

    def train(self, name: str = "run", **options: Any) -> Any:
        return super().train(name, **{"tokenizer": self.tokenizer, **options})

    def model(self, *adapters: Path) -> Any:
        """The base in float32 with adapters on it, as transformers and peft load them."""
        made = AutoModelForCausalLM.from_pretrained(self.base, attn_implementation="eager")
        for adapter in adapters:
            made = PeftModel.from_pretrained(made, adapter)
        return made.eval()

    @cached_property
    def tokenizer_folder(self) -> Path:
        """The tokenizer as a run's `prepare` leaves it for the export."""
        save_tokenizer(self.tokenizer, self.template.by_name, self.root / "tokenizer")
        return self.root / "tokenizer"

    def trained(self, name: str = "run", which: str = "final") -> Weights:
        return Weights(self.base, (self.adapter(name, which).parent,))


@torch.no_grad()
def logits(model: Any, ids: Sequence[int]) -> torch.Tensor:  # (len(ids), V)
    """Logits after each id, in float32."""
    found: torch.Tensor = model(torch.tensor([list(ids)]), use_cache=False).logits[0]
    return found.float()
