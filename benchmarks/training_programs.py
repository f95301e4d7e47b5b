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

from benchmarks.training_shared import (
    ADAPTER,
    Clock,
    Told,
    given_adapter,
    gpu_bytes,
    settings_of,
    stage_of,
)


def adapter(folder: Path) -> Told:
    """The adapter that all of them begin with: other first values end at another loss."""
    from benchmarks.training_peers import fresh_adapter

    fresh_adapter(folder).save_pretrained(folder / ADAPTER)
    return {}


def ours(folder: Path) -> Told:
    """The stage as the worker of a run trains it."""
    from transformers import AutoTokenizer

    from workbench.pipeline.models.weights import Weights
    from workbench.pipeline.training.stage import train_stage
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
        should_stop=lambda: False,
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
