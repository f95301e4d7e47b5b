"""What the programs of `benchmarks.training` share: settings, the rows of each step, the clock."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

Told = dict[str, float]


ADAPTER = "adapter"


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
    from workbench.pipeline.training.token_dataset import TokenDataset
    from workbench.pipeline.training.training_plan import plan_batches

    examples = TokenDataset.load(folder / "train.safetensors")
    plan, _ = plan_batches(stage_of(folder), examples, validation=False)
    return [[row for rows in plan.at(step) for row in rows] for step in range(plan.steps)]


def gpu_bytes() -> int:
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0


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
