"""Builders for run folders, events and small child processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from workbench.run import events
from workbench.run.folder import RunFolder, create


def make_run(root: Path, name: str = "one", preset: str = "description = 'x'\n") -> RunFolder:
    """A run's folder that counts as one: the preset is there."""
    run = create(root, "test", name)
    run.preset_file.write_text(preset)
    return run


def step(number: int, steps: int = 10, **given: Any) -> events.Step:
    """A training step with plausible figures."""
    fields: dict[str, Any] = {
        "step": number,
        "steps": steps,
        "epoch": number / steps,
        "loss": 2.0 / number,
        "learning_rate": 1e-3,
        "gradient_norm": 0.5,
        "tokens": 1000,
        "trained_tokens": 600,
        "tokens_per_second": 5000.0,
        "padding_share": 0.0,
        "elapsed_s": 0.2,
        "memory_bytes": 1 << 20,
    }
    return events.Step(**fields | given)


def validated(number: int, loss: float) -> events.Validated:
    return events.Validated(step=number, loss=loss, trained_tokens=50, best=True, elapsed_s=0.1)


def python(code: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """A child that runs `code` with our package at hand."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
