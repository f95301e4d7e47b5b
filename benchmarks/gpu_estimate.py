"""A preset's training on the true shapes with random weights: its speed, and the estimate's worth.

    python -m benchmarks.gpu_estimate [--preset NAME] [--stage NAME] [--steps 50] [--json FILE]

The base is written as its published sizes say, in bfloat16 (16 GB on disk for 7 billion weights),
and trained by the preset's own stage: quantization, adapter, batch and attention are those of a
real run, only the rows are random, about as long as programs are. Speed is the median of the steps
after the first two. Memory is what the allocator had handed out at the peak and CUDA's own context,
beside the estimate that `--dry-run` tells; the goal is 10 % at most between the two.

It measures a CUDA card and says so where there is none. `--smoke` goes the same way on the CPU with
a few narrow layers, to try the program itself; its figures say nothing of a card.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.figures import Figure, tell
from workbench.architectures.shape import known_config
from workbench.core.errors import UserError, WorkbenchError
from workbench.core.text import did_you_mean
from workbench.estimate.memory import LIBRARIES_BYTES
from workbench.pipeline.models.miniature_model import KEPT, make_miniature, shrink_config
from workbench.pipeline.models.tokenizer_loading import load_tokenizer
from workbench.pipeline.models.weights import Weights
from workbench.pipeline.training.token_dataset import TokenDataset
from workbench.preset.loader import load
from workbench.preset.schema import Model, Preset, TrainStage
from workbench.run import events

OFF_PERCENT, WARM_UP_STEPS, GB = 10.0, 2, 1e9
SHARD_BYTES = 4 << 30
TRAINED_SHARE = 0.6  # of a row: the answer
SMOKE = {"sequence_length": 64, "batch_tokens": 128}


@dataclass(frozen=True)
class Measured:
    """One stage's figures, in bytes and tokens a second; `held_bytes` is the context or nothing."""

    device: str
    steps: int
    tokens_per_second: float
    peak_bytes: int
    held_bytes: int
    estimated_bytes: int

    @property
    def off_percent(self) -> float:
        """How far the estimate is from what was used, above or below."""
        used = self.peak_bytes + self.held_bytes
        return abs(self.estimated_bytes / used - 1) * 100


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 2 without a CUDA device, 1 when the goal is missed."""
    args = _parser().parse_args(arguments)
    if not args.smoke and not torch.cuda.is_available():
        print(
            "no CUDA device here: this measures one (--smoke tries the program on the CPU)",
            file=sys.stderr,
        )
        return 2
    try:
        preset = load(args.preset).preset
        number = _stage_number(preset, args.stage)
        with tempfile.TemporaryDirectory(prefix="gpu-estimate-", dir=args.folder) as name:
            found = measure(preset, number, args.steps, Path(name), smoke=args.smoke)
    except WorkbenchError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    figures = list(told(found, smoke=args.smoke))
    return tell(figures, args.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="bbj-qwen2.5-coder-7b")
    parser.add_argument("--stage", default="", help="name of a [[train]] stage; else the last")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--folder", metavar="DIR", help="where the random base is written")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--json", metavar="FILE")
    return parser


def _stage_number(preset: Preset, name: str) -> int:
    names = [stage.name for stage in preset.train]
    if name and name not in names:
        raise UserError(f"no training stage '{name}'", hint=did_you_mean(name, names))
    return names.index(name or names[-1])


def measure(preset: Preset, number: int, steps: int, folder: Path, *, smoke: bool) -> Measured:
    """Train `steps` steps of the preset's stage `number` over a random base in `folder`.

    Raises UserError for a base whose sizes are not known, and what training raises.
    """
    from workbench.pipeline.training.memory_check import PeakMemory
    from workbench.pipeline.training.stage import train_stage

    config = _config(preset.model.base)
    if smoke:
        config = {**shrink_config(config), "vocab_size": 4096}
    device = torch.device("cpu" if smoke else "cuda")
    base = random_base(config, preset.model.base, folder / "base", device)
    stage = _cut(preset.train[number], steps, smoke)
    rows = random_rows(stage, vocabulary=1000)
    rows.save(folder / "train.safetensors")
    TokenDataset.of([]).save(folder / "validation.safetensors")
    seen: list[events.Event] = []
    peak = PeakMemory(device)
    train_stage(
        stage,
        _model(preset.model, base, smoke),
        Weights(base),
        train=folder / "train.safetensors",
        validation=folder / "validation.safetensors",
        tokenizer=load_tokenizer(base),
        folder=folder / "run" / "training" / stage.name,
        emit=seen.append,
        should_stop=lambda: False,
    )
    return _read(seen, peak.bytes(), device)


def _config(base: str) -> dict[str, Any]:
    try:
        return known_config(base)
    except KeyError:
        table = "workbench/architectures/known_models.toml"
        hint = f"take a preset of docs/models.md, or add it to {table}"
        raise UserError(f"the sizes of {base} are not known", hint=hint) from None


def _cut(stage: TrainStage, steps: int, smoke: bool) -> TrainStage:
    """The stage as it stands, but for its length and all that is no training step."""
    kept = {"max_steps": steps, "evaluate_every": 0.0, "save_every": 0.0, "early_stopping": 0}
    adapter = stage.adapter.model_copy(update={"continue_": "new"})
    return stage.model_copy(update={**kept, "adapter": adapter, **(SMOKE if smoke else {})})


def _model(model: Model, base: Path, smoke: bool) -> Model:
    here = {"base": str(base), "revision": "main", "added_tokens": []}
    small = {"device": "cpu", "quantization": "none"} if smoke else {"device": "cuda"}
    return model.model_copy(update={**here, **small})


def random_base(config: dict[str, Any], name: str, folder: Path, device: torch.device) -> Path:
    """A base of that configuration in `folder`, in shards, with the tokenizer of its miniature."""
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder.mkdir(parents=True)
    made = AutoConfig.for_model(**config)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(made, dtype=torch.bfloat16)
    made.architectures = [type(model).__name__]
    made.save_pretrained(folder)
    tied = {"lm_head.weight"} if made.tie_word_embeddings else set()
    shapes = {n: tuple(t.shape) for n, t in model.state_dict().items() if n not in tied}
    _write_shards(shapes, folder, device)
    for file in KEPT:
        if (make_miniature(name) / file).is_file():
            shutil.copyfile(make_miniature(name) / file, folder / file)
    return folder


def _write_shards(shapes: dict[str, tuple[int, ...]], folder: Path, device: torch.device) -> None:
    """One tensor at a time is on the device: it may be too small for the model in 16 bits."""
    from safetensors.torch import save_file

    torch.manual_seed(0)
    places: dict[str, str] = {}
    for number, names in enumerate(_shards(shapes), 1):
        file = f"model-{number:05d}.safetensors"
        tensors = {name: _random(name, shapes[name], device).cpu() for name in names}
        save_file(tensors, folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(names, file)
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _shards(shapes: dict[str, tuple[int, ...]]) -> Iterator[list[str]]:
    shard, size = list[str](), 0
    for name, shape in shapes.items():
        n_bytes = 2 * int(np.prod(shape))
        if shard and size + n_bytes > SHARD_BYTES:
            yield shard
            shard, size = [], 0
        shard.append(name)
        size += n_bytes
    yield shard


def _random(name: str, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Norms are one and biases nothing, as where a training begins; so the loss stays finite."""
    if len(shape) == 1:
        fill = 0.0 if name.endswith("bias") else 1.0
        return torch.full(shape, fill, dtype=torch.bfloat16, device=device)
    return torch.randn(shape, dtype=torch.bfloat16, device=device) * 0.02


@dataclass(frozen=True)
class _Row:
    ids: list[int]
    trained: list[bool]


def random_rows(stage: TrainStage, vocabulary: int) -> TokenDataset:
    """Rows of four steps: lengths of a log-normal distribution, cut at the sequence's."""
    rng = np.random.default_rng(0)
    longest = stage.sequence_length
    made, tokens = list[_Row](), 0
    while tokens < 4 * max(stage.batch_tokens, stage.batch_size * stage.accumulation * longest):
        length = int(min(longest, max(16, rng.lognormal(np.log(longest / 6), 0.8))))
        prompt = 0 if stage.objective == "pretrain" else int(length * (1 - TRAINED_SHARE))
        ids = rng.integers(10, vocabulary, length).tolist()
        made.append(_Row(ids, [at >= prompt for at in range(length)]))
        tokens += length
    return TokenDataset.of(made)


def _read(seen: list[events.Event], peak_bytes: int, device: torch.device) -> Measured:
    steps = [event for event in seen if isinstance(event, events.Step)]
    memory = next(event for event in seen if isinstance(event, events.MemoryMeasured))
    warm = steps[WARM_UP_STEPS:] or steps
    cuda = device.type == "cuda"
    return Measured(
        device=torch.cuda.get_device_name(device) if cuda else "this CPU",
        steps=len(steps),
        tokens_per_second=statistics.median(step.tokens_per_second for step in warm),
        peak_bytes=peak_bytes,
        held_bytes=_context_bytes(device) if cuda else 0,
        estimated_bytes=memory.estimated_bytes,
    )


def _context_bytes(device: torch.device) -> int:
    """What the card lacks beyond what the allocator took: CUDA's context, where we are alone."""
    free, total = torch.cuda.mem_get_info(device)
    return max(0, total - free - torch.cuda.memory_reserved(device))


def told(found: Measured, *, smoke: bool) -> Iterator[Figure]:
    """The figures; a smoke test has no goal."""
    steps = f"median of {found.steps} steps, {found.device}"
    yield Figure("speed", found.tokens_per_second, "tokens/s", "higher", note=steps)
    yield Figure("memory at the peak", (found.peak_bytes + found.held_bytes) / GB, "GB")
    held, counted = found.held_bytes / GB, LIBRARIES_BYTES["cpu" if smoke else "cuda"] / GB
    note = f"libraries: {held:.2f} GB of it, estimated {counted:.2f}" if not smoke else ""
    yield Figure("memory by estimate", found.estimated_bytes / GB, "GB", note=note)
    goal = None if smoke else OFF_PERCENT
    yield Figure("estimate off by", found.off_percent, "%", goal=goal)


if __name__ == "__main__":
    sys.exit(main())
