"""`--dry-run`: every value of a preset with who set it, and the plan of stages and steps."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from workbench.core.errors import RunFailed, UserError
from workbench.runner.dry_run__headless_foreseen import stage_lines
from workbench.runner.frozen_preset import frozen
from workbench.preset.loader import LoadedPreset
from workbench.preset.rendering import explain, to_toml
from workbench.preset.schema__preset_stages import TRAIN, stage_names
from workbench.core.text import one_line, quantity, table

ESTIMATE = (sys.executable, "-m", "workbench.pipeline.dry_run_process")
VALUE_WIDTH = 72


def lines(loaded: LoadedPreset, wanted: Sequence[str]) -> list[str]:
    """What `--dry-run` prints. Raises UserError when the data turn out to be at fault."""
    estimate = estimated(loaded, wanted)
    return [
        f"preset {loaded.name}  {loaded.path}",
        "",
        *table(explain(loaded), width=VALUE_WIDTH),
        "",
        f"{quantity(estimate['rows'], 'row')}: {estimate['train_rows']:,} for training, "
        f"{estimate['validation_rows']:,} for validation",
        *(f"  {one_line(note, 200)}" for note in estimate["notes"]),
        "",
        *table(list(_stages(loaded, wanted, estimate)), width=VALUE_WIDTH),
        *_unknown(estimate),
    ]


def estimated(loaded: LoadedPreset, wanted: Sequence[str] = ()) -> dict[str, Any]:
    """The counts, from a child that reads the data as the worker would."""
    return Counting(loaded, wanted).found()


class Counting:
    """The child at its work, for the stages `wanted` (none: all of them). Raises UserError at once
    for a path that is not there."""

    def __init__(self, loaded: LoadedPreset, wanted: Sequence[str] = ()) -> None:
        self._text = to_toml(frozen(loaded))
        pipe, command = subprocess.PIPE, [*ESTIMATE, *wanted]
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def cancel(self) -> None:
        """End the child; `found` then raises RunFailed."""
        self._process.kill()

    def found(self) -> dict[str, Any]:
        """Wait for the counts. Raises UserError for data at fault, RunFailed for anything else."""
        out, said = self._process.communicate(self._text)
        if self._process.returncode == UserError.exit_status:
            raise UserError(said.strip())
        if self._process.returncode:
            last = said.strip().splitlines() or ["no message"]
            raise RunFailed(f"counting the data failed: {one_line(last[-1], 200)}")
        found: dict[str, Any] = json.loads(out)
        return found


def _stages(
    loaded: LoadedPreset, wanted: Sequence[str], estimate: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    for name in stage_names(loaded.preset):
        kind, _, stage = name.partition(":")
        if wanted and name not in wanted and kind not in wanted:
            yield name, "not selected; must already be done"
            continue
        yield name, _told(kind, stage, loaded, estimate)
        if kind == TRAIN:
            yield from (("", line) for line in stage_lines(estimate, stage)[1:])


def _told(kind: str, stage: str, loaded: LoadedPreset, estimate: dict[str, Any]) -> str:
    preset = loaded.preset
    match kind:
        case "prepare":
            return f"read, check and tokenize {quantity(len(preset.data.source), 'source')}"
        case "export":
            merged = ["merged model"] if preset.export.merged else []
            return ", ".join([*preset.export.formats, *merged])
        case "evaluate":
            models = 1 + len(preset.evaluate.baselines)
            return f"{quantity(estimate['prompts'], 'prompt')}, {quantity(models, 'model')}"
        case "package":
            return "Modelfile for Ollama"
    assert kind == TRAIN
    return stage_lines(estimate, stage)[0]


def _unknown(estimate: dict[str, Any]) -> list[str]:
    return ["", f"  {estimate['unknown']}"] if "unknown" in estimate else []
