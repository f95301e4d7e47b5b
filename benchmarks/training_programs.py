"""The trainings that `benchmarks.training` measures, each in a process of its own.

    python -m benchmarks.training_programs NAME FOLDER

FOLDER holds a base, rows and `settings.json`. All take the same rows in as many steps of about as
many tokens (the same rows in each step, but for those that a peer gathers its own way), LoRA on all
linear layers, AdamW and a cosine without warm-up, in the number format of the settings unless the
name says otherwise. Seconds count from the start of the first step to the
end of the last. One JSON object comes out: tokens (padding apart), seconds, steps, and the loss on
the validation rows.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

Told = dict[str, float]
ADAPTER = "adapter"


def adapter(folder: Path) -> Told:
    """The adapter that all of them begin with: other first values end at another loss."""
    from benchmarks.training_peers import fresh_adapter

    fresh_adapter(folder).save_pretrained(folder / ADAPTER)
    return {}


def stage_of(folder: Path) -> Any:
    """The settings as a preset's training stage."""
    from workbench.preset.schema import TrainStage

    given = settings_of(folder)
    return TrainStage.model_validate(
        {
            "epochs": 1.0,
            "batch_tokens": given["step_tokens"],
            "sequence_length": given["longest"],
            "learning_rate": given["learning_rate"],
            "warmup": 0.0,
            "weight_decay": 0.0,
            "evaluate_every": 0.0,
            "save_every": 0.0,
            "adapter": {
                "rank": given["rank"],
                "alpha": 2.0 * given["rank"],
                "dropout": 0.0,
                "continue": "carry" if given_adapter(folder) else "new",
            },
        }
    )


def rows_of_steps(folder: Path) -> list[list[int]]:
    """The rows of every step of ours, for those that can be given them."""
    from workbench.pipeline.training.examples import Examples
    from workbench.pipeline.training.planning import plan_batches

    examples = Examples.load(folder / "train.safetensors")
    plan, _ = plan_batches(stage_of(folder), examples, validation=False)
    return [[row for rows in plan.at(step) for row in rows] for step in range(plan.steps)]


def ours(folder: Path) -> Told:
    """The stage as the worker of a run trains it."""
    from transformers import AutoTokenizer

    from workbench.pipeline.training.stage import train_stage
    from workbench.pipeline.training.weights import Weights
    from workbench.preset.schema import Model
    from workbench.run import events

    given = settings_of(folder)
    steps: list[events.Step] = []
    clock = Clock()
    validated: list[float] = []

    def emit(event: events.Event) -> None:
        if isinstance(event, events.MemoryMeasured):
            clock.start()
        if isinstance(event, events.Step):
            clock.stop()
            steps.append(event)
        if isinstance(event, events.Validated):
            validated.append(event.loss)

    train_stage(
        stage_of(folder),
        Model.model_validate(
            {
                "device": given["device"],
                "dtype": given["dtype"],
                "quantization": given["quantization"],
            }
        ),
        Weights(folder / "base", given_adapter(folder)),
        train=folder / "train.safetensors",
        validation=folder / "validation.safetensors",
        tokenizer=AutoTokenizer.from_pretrained(folder / "base"),
        folder=folder / f"ours-{os.getpid()}",
        emit=emit,
        stopping=lambda: False,
    )
    return clock.told(steps[-1].tokens) | {
        "steps": len(steps),
        "first_loss": steps[0].loss,
        "loss": validated[-1],
    }


def on_gpu(folder: Path) -> Told:
    """The same, with the memory that the GPU had allocated at most and its matrix rate."""
    told = ours(folder)
    device = settings_of(folder)["device"]
    return told | {"gpu_bytes": gpu_bytes(), "matrix_rate": matrix_rate(device)}


def gpu_bytes() -> int:
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0


def matrix_rate(device: str) -> float:
    """Operations a second of a product of square bfloat16 matrices: the best of ten tries."""
    import torch

    size = 8192 if device == "cuda" else 512
    one = torch.randn(size, size, dtype=torch.bfloat16, device=device)
    best = 0.0
    for _ in range(10):
        started = time.perf_counter()
        for _ in range(4):
            one @ one
        if device == "cuda":
            torch.cuda.synchronize()
        best = max(best, 4 * 2 * size**3 / (time.perf_counter() - started))
    return best


class Clock:
    """Wall time and CPU time of the process between the first step's start and the last's end."""

    def __init__(self) -> None:
        self.began = self.ended = (0.0, 0.0)

    def start(self) -> None:
        self.began = (time.perf_counter(), time.process_time())

    def stop(self) -> None:
        self.ended = (time.perf_counter(), time.process_time())

    def told(self, tokens: int) -> Told:
        """Both times, and the tokens a second of each."""
        wall_s, cpu_s = (end - start for start, end in zip(self.began, self.ended, strict=True))
        return {
            "tokens": tokens,
            "seconds": wall_s,
            "tokens_per_s": tokens / wall_s,
            "tokens_per_cpu_s": tokens / cpu_s,
        }


def given_adapter(folder: Path) -> tuple[Path, ...]:
    """The adapter to begin with, if one was made."""
    return tuple(path for path in [folder / ADAPTER] if path.exists())


def settings_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "settings.json").read_text())
    return found


def main(words: list[str]) -> None:
    if len(words) != 2:
        print(__doc__)
        return
    from benchmarks import training_check, training_peers

    own: dict[str, Callable[[Path], Told]] = {
        "adapter": adapter,
        "ours": ours,
        "ours-gpu": on_gpu,
        "gradients": training_check.gradients,
    }
    programs = own | training_peers.PROGRAMS
    warnings.simplefilter("ignore")
    print(json.dumps(programs[words[0]](Path(words[1]))))


if __name__ == "__main__":
    main(sys.argv[1:])
