"""What a preset would do, without doing it:

    python -m workbench.pipeline.dry_run_process [STAGE ...] < preset.toml

A child of `workbench --dry-run`: it reads and tokenizes the data as the worker would, in memory
and a temporary folder, and prints one JSON object. Nothing is fetched: of a base that is not on
this machine only the rows are counted, and the memory where at least its config.json is here.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # before any import of the hub's library

import torch
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

from workbench.architectures.shape import ModelShape, known_shape
from workbench.bases.listing import has_weights
from workbench.core.errors import UserError, WorkbenchError
from workbench.estimate.memory import MemoryEstimate
from workbench.estimate.stage import past_throughput, stage_groups
from workbench.pipeline.checks import check
from workbench.pipeline.models import base_model as bases
from workbench.pipeline.models.base_shape import read_shape
from workbench.pipeline.models.candidate import Candidate, When
from workbench.pipeline.models.tokenizer_loading import load_tokenizer
from workbench.pipeline.prepare.stage import (
    PreparedData,
    chat_format,
    read_all,
    tokenize_stage,
    with_tokenizer,
)
from workbench.pipeline.training.device import pick_device
from workbench.pipeline.training.distributed.rank import check_gpus
from workbench.pipeline.training.memory_check import batch_work, device_bytes, estimate_stage_memory
from workbench.pipeline.training.token_dataset import TokenDataset
from workbench.pipeline.training.training_plan import plan_batches, validation_plan
from workbench.preset.loader import parse
from workbench.preset.schema import Preset, TrainStage
from workbench.run.events import Emit, Event, Note
from workbench.run.folder import runs_root


def main(wanted: Sequence[str]) -> int:
    """Print the estimate of the preset on stdin; a fault in the data is the exit status 2.

    `wanted`: the stages that the run is to do, none for all.
    """
    os.nice(5)  # a training beside it comes first
    preset = parse(sys.stdin.buffer.read().decode(), Path("preset.toml")).preset
    try:
        found: dict[str, Any] = estimate(preset, not wanted or "export" in wanted)
    except WorkbenchError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    json.dump(found, sys.stdout)
    return 0


def estimate(preset: Preset, exports: bool = True) -> dict[str, Any]:
    """Rows, and where the base is here tokens and steps, of every training stage.

    `exports`: whether the run reaches its export.
    """
    notes: list[str] = []
    check_gpus(preset.launch.processes, preset.model.device)

    def emit(event: Event) -> None:
        if isinstance(event, Note):
            notes.append(event.message)

    base, unknown = _config_of(preset)
    candidate = None
    if base:
        candidate = Candidate(base, preset, bases.file_names(preset.model, base), exports)
        check(When.CONFIG, candidate, emit)
    prepared = read_all(preset, emit)
    found: dict[str, Any] = {
        "rows": sum(len(reading.rows) for _, reading in prepared.readings),
        "train_rows": len(prepared.splits.train),
        "validation_rows": len(prepared.splits.validation),
        "prompts": len(prepared.held_out),
        "device": _device(preset),
        "stages": {},
    }
    if candidate and (candidate.base / "tokenizer.json").is_file():
        found["stages"] = _stages(candidate, prepared, emit)
    elif shape := _shape(preset):
        for stage in preset.train:
            memory = estimate_stage_memory(shape, stage, preset.model, shares=_shares(preset))
            found["stages"][stage.name] = {**_memory(memory), **_targets(shape, stage)}
    if unknown:
        found["unknown"] = unknown
    return {**found, "notes": notes}


def _config_of(preset: Preset) -> tuple[Path | None, str]:
    """The base's folder, its weights perhaps not in it, and what of the base is not here."""
    not_here = f"model.base: {preset.model.base} is not downloaded yet; a run downloads it"
    try:
        base = bases.fetch_config(preset.model)
    except UserError as error:
        fetches = isinstance(error.__cause__, LocalEntryNotFoundError)
        return None, not_here if fetches else str(error)
    return base, "" if has_weights(base) else not_here


def _stages(candidate: Candidate, prepared: PreparedData, emit: Emit) -> dict[str, Any]:
    """All stages' counts, and what can be known of the export."""
    preset, base = candidate.preset, candidate.base
    tokenizer = load_tokenizer(
        base, preset.model.added_tokens, lambda line: emit(Note(message=line, level="warning"))
    )
    template, _, end_of_turn = chat_format(preset, tokenizer, base)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        templates = template.by_name if template else {}
        bases.save_tokenizer(tokenizer, templates, folder / "tokenizer")
        ready = with_tokenizer(candidate, folder / "tokenizer", template, end_of_turn, prepared)
        check(When.TOKENIZER, ready, emit)
        if has_weights(base):
            check(When.WEIGHTS, ready, emit)
        return {
            stage.name: _stage(stage, preset, prepared, tokenizer, base, folder, emit)
            for stage in preset.train
        }


def _stage(
    stage: TrainStage,
    preset: Preset,
    prepared: PreparedData,
    tokenizer: Any,
    base: Path,
    folder: Path,
    emit: Emit,
) -> dict[str, Any]:
    """The stage's counts, by the very code that the worker prepares and plans it with."""
    template, stops, _ = chat_format(preset, tokenizer, base)
    (train, validation), _ = tokenize_stage(
        stage, prepared.splits, preset.data, template, tokenizer, stops, folder, emit
    )
    examples, held_out = TokenDataset.load(train), TokenDataset.load(validation)
    batches, plan = plan_batches(stage, examples, validation=len(held_out) > 0)
    work = batch_work(batches, examples, validation_plan(held_out, stage), held_out)
    tokens = int(examples.lengths.sum())
    shape = read_shape(base / "config.json")
    return {
        **_memory(estimate_stage_memory(shape, stage, preset.model, work, _shares(preset))),
        **_targets(shape, stage),
        **_time(preset, stage, tokens * plan.steps / plan.steps_per_epoch),
        "sequences": len(examples),
        "tokens": tokens,
        "steps": plan.steps,
        "steps_per_epoch": plan.steps_per_epoch,
        "micro_batches": len(batches.at(0)),
        "processes": preset.launch.processes,
        "packing": stage.packing,
        "validations": len(plan.evaluate_steps),
        "checkpoints": len(plan.checkpoint_steps),
    }


def _targets(shape: ModelShape | None, stage: TrainStage) -> dict[str, Any]:
    """What the stage's adapter trains, a line for each kind of module."""
    return {"targets": [one.line() for one in stage_groups(shape, stage)]} if shape else {}


def _memory(memory: MemoryEstimate | None) -> dict[str, Any]:
    return {"memory": {"peak": memory.peak, "parts": memory.parts}} if memory else {}


def _time(preset: Preset, stage: TrainStage, tokens: float) -> dict[str, Any]:
    """Seconds by the speed of an earlier run; nothing where there was none."""
    past = past_throughput(preset, stage, runs_root(), socket.gethostname())
    if past is None:
        return {}
    seconds = tokens / past.tokens_per_second
    return {"seconds": seconds, "tokens_per_second": past.tokens_per_second, "as_in": past.run}


def _shares(preset: Preset) -> int:
    return preset.launch.processes if preset.launch.sharding == "full" else 1


def _device(preset: Preset) -> dict[str, Any]:
    """What one process has: its GPU, or its share of the machine's memory."""
    device, processes = pick_device(preset.model.device), preset.launch.processes
    total, free = device_bytes(device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    if processes > 1:
        name = f"each of {processes} processes ({name})"
    if device.type != "cuda":
        total, free = total // processes, free // processes
    return {"name": name, "total": total, "free": free}


def _shape(preset: Preset) -> ModelShape | None:
    """The shape of a base whose weights are not here: by its config, or by its well-known name."""
    if config := _config(preset):
        return read_shape(config)
    with suppress(KeyError):
        return known_shape(preset.model.base)
    return None


def _config(preset: Preset) -> Path | None:
    """The base's config.json where it lies on this machine without the weights."""
    local = Path(preset.model.base).expanduser() / "config.json"
    if local.is_file():
        return local
    try:
        found = try_to_load_from_cache(
            preset.model.base, "config.json", revision=preset.model.revision
        )
    except (HFValidationError, ValueError):
        return None
    return Path(found) if isinstance(found, str) else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
