"""`--dry-run`: a preset's values with their origins, the plan of stages and steps, estimates.

A child process estimates each training stage (steps, time, memory). The same lines appear under
`--dry-run` and next to the preset's form.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from workbench.core.errors import RunFailed, UserError
from workbench.core.subprocesses import PIPE, start_pipes
from workbench.core.text import duration, one_line, quantity, size, table
from workbench.preset.loader import LoadedPreset
from workbench.preset.rendering import explain, to_toml
from workbench.preset.schema import TRAIN, stage_names
from workbench.runner.frozen_preset import with_absolute_paths

TOLD_SHARE = 0.01  # a part of the memory below this is not named


def stage_lines(found: Mapping[str, Any], stage: str) -> list[str]:
    """The lines of a stage: its steps, its time, its memory, what its adapter trains.

    What is not known says so.
    """
    counts = found["stages"].get(stage, {})
    lines = [_steps(counts)]
    if "steps" in counts:
        lines.append(_time(counts))
    if counts.get("packing") == "auto":
        lines.append("packing or grouping by length: chosen before the first step")
    lines.append(_memory(counts.get("memory"), found.get("device")))
    return [*lines, *(f"trains {line}" for line in counts.get("targets", []))]


def estimate_summary(found: Mapping[str, Any], stages: Sequence[str]) -> str:
    """All stages in one line: `63 + 336 steps  about 2:50  762 MiB of 22.6 GiB free`."""
    known = [found["stages"].get(name, {}) for name in stages]
    parts = ["steps: known once the base model is downloaded"]
    if all("steps" in counts for counts in known):
        parts = [" + ".join(f"{counts['steps']:,}" for counts in known) + " steps"]
        times = [counts.get("seconds") for counts in known]
        if all(times):
            parts.append(f"about {duration(sum(times))}")
    peaks = [counts["memory"]["peak"] for counts in known if counts.get("memory")]
    if peaks and found.get("device"):
        parts.append(f"{size(max(peaks))} of {size(found['device']['free'])} free")
    return "  ".join(parts)


def is_too_large(found: Mapping[str, Any]) -> bool:
    """Whether some stage is likely to need more memory than is free."""
    free = (found.get("device") or {}).get("free")
    peaks = [(one.get("memory") or {}).get("peak", 0) for one in found["stages"].values()]
    return free is not None and any(peak > free for peak in peaks)


def _steps(counts: Mapping[str, Any]) -> str:
    if "steps" not in counts:
        return "steps: known once the base model is downloaded"
    return (
        f"{quantity(counts['steps'], 'step')}, {counts['steps_per_epoch']:,} per epoch "
        f"({quantity(counts['tokens'], 'token')}); "
        f"{quantity(counts['validations'], 'validation')}, "
        f"{quantity(counts['checkpoints'], 'checkpoint')}{_shared(counts)}"
    )


def _shared(counts: Mapping[str, Any]) -> str:
    """How a step is dealt out to several processes."""
    processes, dealt = counts.get("processes", 1), counts.get("micro_batches", 1)
    if processes == 1:
        return ""
    cut = ", split into parts" if dealt < processes else ""
    return f"; {quantity(dealt, 'micro-batch')} per step{cut}, for {processes} processes"


def _time(counts: Mapping[str, Any]) -> str:
    if not counts.get("seconds"):
        return "time: known once the first steps have run"
    speed = f"{counts['tokens_per_second']:,.0f} tokens/s"
    return f"about {duration(counts['seconds'])} at {speed} (as in {one_line(counts['as_in'], 40)})"


def _memory(memory: Mapping[str, Any] | None, device: Mapping[str, Any] | None) -> str:
    if not memory or not device:
        return "memory: known once the base model's config.json is available"
    peak, free = memory["peak"], device["free"]
    verdict = f"{size(free)} of {size(device['total'])} free"
    if peak > free:
        verdict = f"MORE THAN the {size(free)} free of {size(device['total'])}"
    parts = sorted(memory["parts"].items(), key=lambda part: -part[1])
    named = [f"{name} {size(bytes)}" for name, bytes in parts if bytes >= TOLD_SHARE * peak]
    where = one_line(str(device["name"]), 60)
    return f"about {size(peak)} of memory on {where} ({verdict}): {', '.join(named)}"


ESTIMATE = (sys.executable, "-m", "workbench.pipeline.dry_run_process")
VALUE_WIDTH = 72


def lines(loaded: LoadedPreset, wanted: Sequence[str]) -> list[str]:
    """What `--dry-run` prints. Raises UserError when the data turn out to be at fault."""
    estimate = run_dry_run(loaded, wanted)
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


def run_dry_run(loaded: LoadedPreset, wanted: Sequence[str] = ()) -> dict[str, Any]:
    """The counts, from a child that reads the data as the worker would."""
    return DryRun(loaded, wanted).found()


class DryRun:
    """The child at its work, for the stages `wanted` (none: all of them). Raises UserError at once
    for a path that is not there."""

    def __init__(self, loaded: LoadedPreset, wanted: Sequence[str] = ()) -> None:
        self._text = to_toml(with_absolute_paths(loaded))
        self._process = start_pipes([*ESTIMATE, *wanted], stderr=PIPE)

    def cancel(self) -> None:
        """End the child; `found` then raises RunFailed."""
        self._process.kill()

    def found(self) -> dict[str, Any]:
        """Wait for the counts. Raises UserError for data at fault, RunFailed for anything else."""
        out, stderr = self._process.communicate(self._text.encode())
        said = stderr.decode(errors="replace")
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
