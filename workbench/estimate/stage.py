"""Memory and time of a preset's training stage.

Time is estimated from earlier runs on this machine: only runs with the same base on the same host,
whose stage computes in the same way.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench.architectures.shape import ModelShape
from workbench.bases.targets import Matrix, TargetGroup, groups, resolve
from workbench.core.errors import UserError
from workbench.estimate.memory import BatchWork, Device, MemoryEstimate, MemorySettings, estimate
from workbench.preset.schema import Model, Preset, TrainStage
from workbench.preset.step_plan import DEFAULT_MICRO_TOKENS, micro_tokens
from workbench.run import events
from workbench.run.event_lines import Record
from workbench.run.folder import RunFolder, list_runs
from workbench.run.log import skim
from workbench.run.state import seconds_between

EMBEDDING = "model.embed_tokens"
# `auto` computes activations again where a step would take more of the card than this.
MEMORY_SHARE = 0.9


def stage_memory(
    shape: ModelShape,
    stage: TrainStage,
    model: Model,
    device: Device,
    element_bytes: int,
    device_bytes: int,
    work: BatchWork | None = None,
    shares: int = 1,
) -> MemoryEstimate:
    """The memory of a stage; without `work` at the largest batch that its settings allow.

    It is that of one process; `shares` of them share the weights out.
    """
    again = uses_gradient_checkpointing(
        shape, stage, model, device, element_bytes, device_bytes, shares
    )
    setting = replace(_setting(stage, model, device, element_bytes, shares), checkpointing=again)
    return estimate(shape, setting, work or largest_work(stage))


def uses_gradient_checkpointing(
    shape: ModelShape,
    stage: TrainStage,
    model: Model,
    device: Device,
    element_bytes: int,
    device_bytes: int,
    shares: int = 1,
) -> bool:
    """Whether activations are computed again in the backward pass.

    As the stage wishes; `auto` does so on a CUDA card that the largest step would not fit
    otherwise. Elsewhere it costs time and saves little.
    """
    if stage.gradient_checkpointing != "auto":
        return bool(stage.gradient_checkpointing)
    setting = _setting(stage, model, device, element_bytes, shares)
    peak = estimate(shape, setting, largest_work(stage)).peak
    return device == "cuda" and peak > MEMORY_SHARE * device_bytes


def stage_targets(matrices: Sequence[Matrix], stage: TrainStage) -> list[Matrix]:
    """Those of a model's matrices that get the stage's adapter; none with full fine-tuning.

    Raises UserError, at the stage's key, for targets that the model does not have.
    """
    adapter = stage.adapter
    if adapter.kind == "full":
        return []
    try:
        return resolve(
            matrices, adapter.targets, kind=adapter.kind, last_layers=adapter.last_layers
        )
    except UserError as found:
        key = str(found.path).replace("train.", f"train.{stage.name}.", 1)
        raise UserError(found.message, path=key, hint=found.hint) from found


def stage_groups(shape: ModelShape, stage: TrainStage) -> list[TargetGroup]:
    """What the stage's adapter trains, by pattern; raises UserError as `stage_targets` does."""
    adapter = stage.adapter
    found = stage_targets(shape.matrices, stage)
    return groups(found, adapter.rank, dora=adapter.kind == "dora") + _saved(shape, stage)


def _saved(shape: ModelShape, stage: TrainStage) -> list[TargetGroup]:
    """Embedding and output head that are trained in full; tied, they are one matrix."""
    if stage.adapter.kind == "full":
        return []
    paths = {"embed_tokens": EMBEDDING, "lm_head": "lm_head"}
    wished = [paths[name] for name in sorted(set(stage.adapter.modules_to_save))]
    names = [EMBEDDING] if shape.tied and wished else wished
    return [TargetGroup(name, 1, 0, shape.vocabulary * shape.hidden) for name in names]


def largest_work(stage: TrainStage) -> BatchWork:
    """The largest micro-batches that the settings allow, every token of them trained."""
    longest, tokens = stage.sequence_length, micro_tokens(stage)
    asked = max(longest, DEFAULT_MICRO_TOKENS)
    return BatchWork(tokens, tokens, longest, asked, asked)


def _setting(
    stage: TrainStage, model: Model, device: Device, element_bytes: int, shares: int
) -> MemorySettings:
    adapter = stage.adapter
    return MemorySettings(
        kind=adapter.kind,
        rank=adapter.rank,
        dropout=adapter.dropout,
        targets=adapter.targets,
        last_layers=adapter.last_layers,
        quantization=model.quantization,
        optimizer=stage.optimizer,
        saved=len(adapter.modules_to_save),
        new_tokens=bool(model.added_tokens),
        element_bytes=element_bytes,
        device=device,
        shares=shares,
    )


LOOKED_AT = 30  # runs, the newest
MODEL_KEYS = ("base", "quantization", "dtype", "device")
STAGE_KEYS = ("sequence_length", "packing", "gradient_checkpointing", "optimizer", "objective")
ADAPTER_KEYS = ("kind", "rank", "targets", "last_layers")


@dataclass(frozen=True)
class PastThroughput:
    """What a stage of an earlier run came to: tokens a second, evaluations and all."""

    run: str
    tokens_per_second: float


def past_throughput(
    preset: Preset, stage: TrainStage, root: Path, host: str
) -> PastThroughput | None:
    """The newest run below `root` that trained this on `host`; None when there is none."""
    plain = preset.model_dump(mode="json", by_alias=True)
    wanted = _computes(plain, stage.model_dump(mode="json", by_alias=True))
    for run in list_runs(root)[: -LOOKED_AT - 1 : -1]:
        given = _preset_of(run)
        names = [one["name"] for one in _stages(given) if _computes(given, one) == wanted]
        for name in names:
            told = skim(run.events_file)
            if found := _speed(told, f"train:{name}", host, preset.launch.processes):
                return PastThroughput(run.name, found)
    return None


def _computes(preset: Mapping[str, Any], stage: Mapping[str, Any]) -> list[Any]:
    """All that the speed of a stage depends on, the machine apart."""
    model, adapter = _table(preset, "model"), _table(stage, "adapter")
    found = [model.get(key) for key in MODEL_KEYS] + [stage.get(key) for key in STAGE_KEYS]
    launch = _table(preset, "launch")
    found += [launch.get("processes", 1), launch.get("sharding", "none")]
    return found + [adapter.get(key) for key in ADAPTER_KEYS]


def _table(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = values.get(key)
    return found if isinstance(found, dict) else {}


def _preset_of(run: RunFolder) -> dict[str, Any]:
    """A run's preset as plain values; a damaged one says nothing."""
    try:
        return tomllib.loads(run.preset_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _stages(preset: Mapping[str, Any]) -> list[dict[str, Any]]:
    stages = preset.get("train")
    if not isinstance(stages, list):
        return []
    return [one for one in stages if isinstance(one, dict) and "name" in one]


def _speed(records: list[Record], stage: str, host: str, processes: int) -> float | None:
    """From the stage's plan to its end; a resumed one tells only how its last step went.

    It counts by the processes that it had: torchrun's are not those of its preset.
    """
    hosts = {record.event.host for record in records if isinstance(record.event, events.RunStarted)}
    told = [record for record in records if record.stage == stage]
    plans = [record for record in told if isinstance(record.event, events.TrainingPlanned)]
    had = {getattr(record.event, "processes", 1) for record in plans}
    if hosts != {host} or had != {processes}:
        return None
    for record in reversed(told):
        if isinstance(record.event, events.Step) and record.event.tokens_per_second > 0:
            return record.event.tokens_per_second
        if isinstance(record.event, events.StageDone) and len(plans) == 1:
            tokens, spent = record.event.summary.get("tokens"), _between(plans[0], record)
            if isinstance(tokens, int) and tokens and spent:
                return tokens / spent
    return None


def _between(first: Record, last: Record) -> float:
    return seconds_between(first.time, last.time)
