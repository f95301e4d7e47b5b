"""`--miniature`: the same preset on a random model of the same architecture, in under a minute.

Nothing here makes the model; this is what it is called and what becomes of the preset. Only what
costs time or needs another machine is cut: the objectives, adapters, template and file types stay.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from workbench.core.errors import UserError
from workbench.preset.inputs import EMBEDDED, MINIATURE
from workbench.preset.schema import Preset, TrainStage
from workbench.preset.toml_text import toml_value

STEPS, SEQUENCE_LENGTH, BATCH_TOKENS, LAYERS = 10, 512, 1024, 2
PROMPTS, ANSWER_TOKENS, CONTEXT = 4, 24, 512

WARNING = (
    "a miniature: random weights in the shape of the base model, few steps; it tests the pipeline, "
    "so its metrics and responses mean nothing"
)

# (pattern in a hub id, kind); the first that is found counts.
KINDS = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (r"gemma-?3-(4|12|27)b", "gemma3-vision"),
        (r"gemma-?3", "gemma3"),
        (r"gemma-?2-", "gemma2"),
        (r"gemma", "gemma"),
        (r"qwen-?3.*-a\d+b", "qwen3-moe"),
        (r"qwen-?3", "qwen3"),
        (r"qwen-?2", "qwen2"),
        (r"smollm-?3", "smollm3"),
        (r"smollm", "smollm2"),
        (r"tinyllama", "tinyllama"),
        (r"llama-?3", "llama3"),
        (r"mistral", "mistral"),
        (r"phi-?3", "phi3"),
        (r"phi-?4", "phi4"),
        (r"deepseek.*v2", "deepseek2"),
    )
)


def kind_of(name: str) -> str:
    """The kind of model that a hub id names. Raises UserError for one that is not known."""
    repository = name.rpartition("/")[2]
    for pattern, kind in KINDS:
        if pattern.search(repository):
            return kind
    known = ", ".join(sorted({kind for _, kind in KINDS}))
    hint = f"known: {known}; for other models set model.base to a local folder"
    raise UserError(f"model.base: no miniature for '{name}'", hint=hint)


def check(base: str) -> None:
    """Raise UserError where no miniature of `base` (with its prefix) can be made."""
    wanted = base.removeprefix(MINIATURE)
    if not Path(wanted).expanduser().is_dir():
        kind_of(wanted)


def overrides(preset: Preset) -> list[str]:
    """The `--set` words that turn a preset into its miniature, in the order of its keys."""
    words = []
    if not preset.model.base.startswith((EMBEDDED, MINIATURE)):
        words = [f"model.base={_base(preset)}", "model.revision=main"]
    if preset.model.quantization != "none" and find_spec("bitsandbytes") is None:
        words.append("model.quantization=none")
    for number, stage in enumerate(preset.train):
        words += [f"train.{number}.{word}" for word in _stage(stage)]
    generate, evaluate = preset.generate, preset.evaluate
    words += [
        f"generate.max_tokens={min(generate.max_tokens, ANSWER_TOKENS)}",
        f"generate.context={min(generate.context, CONTEXT)}",
        f"evaluate.limit={min(evaluate.limit or PROMPTS, PROMPTS)}",
        f"evaluate.samples={min(evaluate.samples, 2)}",
        "evaluate.baselines=" + toml_value([b for b in evaluate.baselines if b == "base"]),
    ]
    return [*words, "ollama.create=false"] if preset.ollama.create else words


def _base(preset: Preset) -> str:
    base = preset.model.base
    folder = Path(base).expanduser()
    return MINIATURE + (str(folder.resolve()) if folder.is_dir() else base)


def _stage(stage: TrainStage) -> list[str]:
    cut = {
        "max_steps": min(stage.max_steps or STEPS, STEPS),
        "sequence_length": min(stage.sequence_length, SEQUENCE_LENGTH),
        "evaluate_every": 0,
        "save_every": 0,
        "early_stopping": 0,
        "adapter.last_layers": min(stage.adapter.last_layers, LAYERS),
    }
    if stage.batch_size:
        cut |= {"batch_size": min(stage.batch_size, 2), "accumulation": min(stage.accumulation, 2)}
    else:
        cut["batch_tokens"] = min(stage.batch_tokens, BATCH_TOKENS)
    if stage.on_cut == "refuse":
        return [*(f"{key}={value}" for key, value in cut.items()), "on_cut=drop"]
    return [f"{key}={value}" for key, value in cut.items()]
