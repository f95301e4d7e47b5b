"""The presets of well-known models, with what fits on cards of 8, 16, 24 and 80 GB.

    python -m recipes.models presets docs/models.md

One form for all: LoRA on the answers of one's own examples. What differs is the base, its licence,
how its makers advise to draw answers, and the memory, which is estimated as a dry run does it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from workbench.architectures.shape import known_shape
from workbench.core.text import table
from workbench.estimate.stage import stage_memory
from workbench.preset.schema import Model, TrainStage

CARDS_GB = (8, 16, 24, 80)
USABLE = 0.92  # the rest is the driver's, the desktop's, and fragments'
LENGTHS = (8192, 4096, 2048, 1024, 512)
ENOUGH = 2048  # tokens: as long a sequence as this is worth more than 16 bits
GB = 10**9
HF_TERMS = "Accept its license on the Hub first, then run: hf auth login"
SEES = "# The base model is multimodal: only its text model is loaded, trained and exported.\n"


@dataclass(frozen=True)
class Known:
    """A model: preset's name, hub id, title, licence, and the sampling its makers advise."""

    preset: str
    base: str
    title: str
    licence: str
    sampling: tuple[float, float, int]  # temperature, top_p, top_k
    learning_rate: str = "2e-4"
    gated: bool = False
    code: bool = False
    sees: bool = False


_QWEN_CODER = (0.7, 0.8, 20)
_QWEN3 = (0.7, 0.8, 20)
_GEMMA = (1.0, 0.95, 64)
_LLAMA = (0.6, 0.9, 0)
_SMOL = (0.2, 0.9, 0)
MODELS = (
    *(
        Known(
            f"qwen2.5-coder-{size.lower()}",
            f"Qwen/Qwen2.5-Coder-{size}-Instruct",
            f"Qwen2.5-Coder {size}",
            "Apache-2.0",
            _QWEN_CODER,
            code=True,
        )
        for size in ("0.5B", "1.5B", "7B")
    ),
    *(
        Known(f"qwen3-{size.lower()}", f"Qwen/Qwen3-{size}", f"Qwen3 {size}", "Apache-2.0", _QWEN3)
        for size in ("0.6B", "1.7B", "4B", "8B")
    ),
    *(
        Known(
            f"gemma-3-{size}",
            f"google/gemma-3-{size}-it",
            f"Gemma 3 {size.upper()}",
            "Gemma terms",
            _GEMMA,
            gated=True,
            sees=size == "4b",
        )
        for size in ("270m", "1b", "4b")
    ),
    *(
        Known(
            f"llama-3.2-{size.lower()}",
            f"meta-llama/Llama-3.2-{size}-Instruct",
            f"Llama 3.2 {size}",
            "Llama 3.2 license",
            _LLAMA,
            gated=True,
        )
        for size in ("1B", "3B")
    ),
    *(
        Known(
            f"smollm2-{size.lower()}",
            f"HuggingFaceTB/SmolLM2-{size}-Instruct",
            f"SmolLM2 {size}",
            "Apache-2.0",
            _SMOL,
            learning_rate="5e-4" if size.endswith("M") else "2e-4",
        )
        for size in ("135M", "360M", "1.7B")
    ),
    Known("phi-4-mini", "microsoft/Phi-4-mini-instruct", "Phi-4-mini", "MIT", (0.6, 0.95, 0)),
    Known(
        "mistral-7b",
        "mistralai/Mistral-7B-Instruct-v0.3",
        "Mistral 7B v0.3",
        "Apache-2.0",
        (0.7, 0.95, 0),
        learning_rate="1e-4",
    ),
)


@dataclass(frozen=True)
class Fit:
    """What a card takes: the base in 16 bits or as NF4, and the longest sequences."""

    quantization: str
    sequence_length: int
    peak_bytes: int

    def __str__(self) -> str:
        kind = "16 bits" if self.quantization == "none" else "NF4"
        return f"{kind}, {self.sequence_length:,} ({self.peak_bytes / GB:.1f} GB)"


def fit(model: Known, card_gb: int) -> Fit | None:
    """The best that a card takes; None where not even NF4 with short sequences does.

    16 bits where sequences of 2,048 tokens still fit, else NF4; then the longest sequences.
    """
    fits = [
        found
        for quantization in ("none", "nf4")
        for length in LENGTHS
        if (found := _peak(model, quantization, length, card_gb)).peak_bytes
        <= USABLE * card_gb * GB
    ]
    long = [one for one in fits if one.sequence_length >= ENOUGH]
    return next(iter(long or sorted(fits, key=lambda one: -one.sequence_length)), None)


def _peak(model: Known, quantization: str, length: int, card_gb: int) -> Fit:
    stage = TrainStage.model_validate({"sequence_length": length, "batch_tokens": 16384})
    settings = Model.model_validate({"base": model.base, "quantization": quantization})
    memory = stage_memory(known_shape(model.base), stage, settings, "cuda", 2, card_gb * GB)
    return Fit(quantization, length, memory.peak)


def preset(model: Known) -> str:
    """The preset's text."""
    fits = {card: fit(model, card) for card in CARDS_GB}
    smallest = next(card for card in CARDS_GB if fits[card])
    chosen = fits[smallest]
    assert chosen is not None
    temperature, top_p, top_k = model.sampling
    data = "data/general/code.jsonl" if model.code else "data/dolly/examples.jsonl"
    note = f"# {HF_TERMS}\n" if model.gated else ""
    sees = SEES if model.sees else ""
    length = min(chosen.sequence_length, ENOUGH)
    return f"""\
# {model.title} on your own examples: set the path below; any format `workbench data` reads works.
{sees}#
# {model.licence}. Settings by GPU memory (estimated; --dry-run checks your GPU and your data):
{_cards(fits, chosen.quantization, length)}
description = "{model.title} on your own examples (LoRA, from {smallest} GB of GPU memory)"

[model]
{note}base = "{model.base}"
revision = "main"                  # use a commit to pin the weights
quantization = "{chosen.quantization}"

[data]
validation = 0.1
dedupe = "near"

[[data.source]]
path = "{data}"
format = "auto"

[[train]]
name = "sft"
objective = "sft"
sequence_length = {length}
epochs = 3.0
batch_tokens = 16384
learning_rate = {model.learning_rate}
warmup = 0.05
evaluate_every = 0.25
early_stopping = 4

[train.adapter]
kind = "lora"
rank = 16
alpha = 32
dropout = 0.05
targets = "all-linear"

[export]
formats = ["q8_0", "q4_k_m"]

[generate]
temperature = {temperature}
top_p = {top_p}
top_k = {top_k}
repeat_penalty = 1.05
max_tokens = 512
context = 4096

[evaluate]
prompts = "validation"
baselines = ["base"]

[ollama]
name = "my-{model.preset}"
"""


def _cards(fits: dict[int, Fit | None], quantization: str, length: int) -> str:
    rows = []
    for card, found in fits.items():
        words = []
        if found and found.quantization != quantization:
            words.append(f"--set model.quantization={found.quantization}")
        if found and found.sequence_length != length:
            words.append(f"--set train.0.sequence_length={found.sequence_length}")
        said = " ".join(words) if words else "no change needed"
        rows.append((f"#   {card} GB", said if found else "too small"))
    return "\n".join(f"{head:<10}{said}" for head, said in rows)


def page() -> str:
    """docs/models.md: a row a model, a column a card."""
    head = ["preset", "base", *(f"{card} GB" for card in CARDS_GB)]
    rows = [
        [f"`{m.preset}`", f"`{m.base}`", *(str(fit(m, card) or "") for card in CARDS_GB)]
        for m in MODELS
    ]
    lines = table([head, ["---"] * len(head), *rows])
    cells = ["| " + " | ".join(row) + " |" for row in ([head, ["---"] * len(head), *rows])]
    assert len(lines) == len(cells)
    return INTRODUCTION + "\n".join(cells) + "\n"


INTRODUCTION = """\
# Presets for well-known models

<!-- Generated by `python -m recipes.models presets docs/models.md`; do not edit. -->

Each preset fine-tunes a well-known model on your own examples. Set the path to your data, check the
plan, rehearse it on a miniature, then run it:

```console
$ workbench --preset qwen3-0.6b --set data.source.0.path=my-examples.txt --dry-run
$ workbench --preset qwen3-0.6b --set data.source.0.path=my-examples.txt --miniature
```

The table shows what fits on a CUDA GPU, by estimate: LoRA of rank 16 on all linear layers, the base
model in 16 bits or as NF4, the longest sequence length in tokens, and the peak memory. 16 bits are
used where sequences of 2,048 tokens still fit. The estimates use the published model sizes.
`--dry-run` uses the model's own config, your settings and your GPU, and every run measures its
largest batch before the first step. `python -m benchmarks.gpu_estimate --preset qwen3-4b` trains on
the full shapes with random weights, without a download, and reports the GPU's speed and how
accurate the estimate is.

"""


def main() -> None:
    """Write all presets and the page."""
    folder, target = Path(sys.argv[1]), Path(sys.argv[2])
    for model in MODELS:
        (folder / f"{model.preset}.toml").write_text(preset(model), encoding="utf-8")
    target.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
