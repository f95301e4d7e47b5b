"""What a preset would do, without doing it: `python -m workbench.pipeline.estimate < preset.toml`.

A child of `workbench --dry-run`: it reads and tokenizes the data as the worker would, in memory
and a temporary folder, and prints one JSON object. Nothing is fetched: a base that is not on this
machine leaves the counts of rows alone.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # before any import of the hub's library

from workbench.errors import UserError, WorkbenchError
from workbench.pipeline import base as bases
from workbench.pipeline.prepare import Prepared, chat_format, read_all, tokenize_stage
from workbench.pipeline.training.examples import Examples
from workbench.pipeline.training.planning import plan_batches
from workbench.preset.load import parse
from workbench.preset.schema import Preset, TrainStage
from workbench.run.events import Event, Note


def main() -> int:
    """Print the estimate of the preset on stdin; a fault in the data is the exit status 2."""
    preset = parse(sys.stdin.read(), Path("preset.toml")).preset
    try:
        found: dict[str, Any] = estimate(preset)
    except WorkbenchError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    json.dump(found, sys.stdout)
    return 0


def estimate(preset: Preset) -> dict[str, Any]:
    """Rows, and where the base is here tokens and steps, of every training stage."""
    notes: list[str] = []

    def emit(event: Event) -> None:
        if isinstance(event, Note):
            notes.append(event.message)

    prepared = read_all(preset, emit)
    found: dict[str, Any] = {
        "rows": sum(len(reading.rows) for _, reading in prepared.readings),
        "train_rows": len(prepared.splits.train),
        "validation_rows": len(prepared.splits.validation),
        "prompts": len(prepared.held_out),
        "stages": {},
    }
    try:
        base = bases.fetch(preset.model)
    except UserError as error:
        found["unknown"] = str(error)
    else:
        tokenizer = bases.load_tokenizer(base)
        with tempfile.TemporaryDirectory() as folder:
            for stage in preset.train:
                found["stages"][stage.name] = _stage(
                    stage, preset, prepared, tokenizer, base, Path(folder), emit
                )
    return {**found, "notes": notes}


def _stage(
    stage: TrainStage,
    preset: Preset,
    prepared: Prepared,
    tokenizer: Any,
    base: Path,
    folder: Path,
    emit: Any,
) -> dict[str, Any]:
    """The stage's counts, by the very code that the worker prepares and plans it with."""
    template, stops, _ = chat_format(preset, tokenizer, base)
    (train, validation), _ = tokenize_stage(
        stage, prepared.splits, preset.data, template, tokenizer, stops, folder, emit
    )
    examples, held_out = Examples.load(train), Examples.load(validation)
    _, plan = plan_batches(stage, examples, validation=len(held_out) > 0)
    return {
        "sequences": len(examples),
        "tokens": int(examples.lengths.sum()),
        "steps": plan.steps,
        "steps_per_epoch": plan.steps_per_epoch,
        "validations": len(plan.evaluate_steps),
        "checkpoints": len(plan.checkpoint_steps),
    }


if __name__ == "__main__":
    sys.exit(main())
