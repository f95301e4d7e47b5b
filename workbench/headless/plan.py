"""`--dry-run`: every value of a preset with who set it, and the plan of stages and steps."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from workbench.errors import RunFailed, UserError
from workbench.headless.freeze import frozen
from workbench.preset.load import LoadedPreset
from workbench.preset.render import explain, to_toml
from workbench.preset.stages import TRAIN, stage_names
from workbench.text import one_line, table

ESTIMATE = (sys.executable, "-m", "workbench.pipeline.estimate")
VALUE_WIDTH = 72


def lines(loaded: LoadedPreset, wanted: Sequence[str]) -> list[str]:
    """What `--dry-run` prints. Raises UserError when the data turn out to be at fault."""
    estimate = estimated(loaded)
    return [
        f"preset {loaded.name}  {loaded.path}",
        "",
        *table(explain(loaded), width=VALUE_WIDTH),
        "",
        f"{estimate['rows']:,} rows read: {estimate['train_rows']:,} to train on, "
        f"{estimate['validation_rows']:,} held out for validation",
        *(f"  {one_line(note, 200)}" for note in estimate["notes"]),
        "",
        *table(list(_stages(loaded, wanted, estimate)), width=VALUE_WIDTH),
        *_unknown(estimate),
    ]


def estimated(loaded: LoadedPreset) -> dict[str, Any]:
    """The counts, from a child that reads the data as the worker would."""
    done = subprocess.run(
        ESTIMATE, input=to_toml(frozen(loaded)), capture_output=True, text=True, check=False
    )
    if done.returncode == UserError.exit_status:
        raise UserError(done.stderr.strip())
    if done.returncode:
        last = done.stderr.strip().splitlines() or ["no word"]
        raise RunFailed(f"the data could not be counted: {one_line(last[-1], 200)}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _stages(
    loaded: LoadedPreset, wanted: Sequence[str], estimate: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    for name in stage_names(loaded.preset):
        kind, _, stage = name.partition(":")
        told = _told(kind, stage, loaded, estimate)
        if wanted and name not in wanted and kind not in wanted:
            told = "not asked for; must stand already"
        yield name, told


def _told(kind: str, stage: str, loaded: LoadedPreset, estimate: dict[str, Any]) -> str:
    preset = loaded.preset
    match kind:
        case "prepare":
            return f"read, check and tokenize {len(preset.data.source)} sources"
        case "export":
            return ", ".join(preset.export.formats)
        case "evaluate":
            models = 1 + len(preset.evaluate.baselines)
            return f"{estimate['prompts']:,} prompts, {models} models"
        case "package":
            return "Modelfile for Ollama"
    assert kind == TRAIN
    return _steps(estimate["stages"].get(stage))


def _steps(counts: dict[str, int] | None) -> str:
    if counts is None:
        return "steps are known once the base is here"
    return (
        f"{counts['steps']:,} steps, {counts['steps_per_epoch']:,} an epoch of "
        f"{counts['tokens']:,} tokens; {counts['validations']:,} validations, "
        f"{counts['checkpoints']:,} checkpoints"
    )


def _unknown(estimate: dict[str, Any]) -> list[str]:
    return ["", f"  {estimate['unknown']}"] if "unknown" in estimate else []
