"""How fast a training goes, by what earlier runs on this machine came to.

Only a run with the same base on the same host, whose stage computes the same way, says anything.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.preset.schema import Preset, TrainStage
from workbench.run import events
from workbench.run.folder import RunFolder, list_runs
from workbench.run.log import Record, skim
from workbench.run.state import seconds_between

LOOKED_AT = 30  # runs, the newest
MODEL_KEYS = ("base", "quantization", "dtype", "device")
STAGE_KEYS = ("sequence_length", "packing", "gradient_checkpointing", "optimizer", "objective")
ADAPTER_KEYS = ("kind", "rank", "targets", "last_layers")


@dataclass(frozen=True)
class Past:
    """What a stage of an earlier run came to: tokens a second, evaluations and all."""

    run: str
    tokens_per_second: float


def past_speed(preset: Preset, stage: TrainStage, root: Path, host: str) -> Past | None:
    """The newest run below `root` that trained this on `host`; None when there is none."""
    plain = preset.model_dump(mode="json", by_alias=True)
    wanted = _computes(plain, stage.model_dump(mode="json", by_alias=True))
    for run in list_runs(root)[: -LOOKED_AT - 1 : -1]:
        given = _preset_of(run)
        names = [one["name"] for one in _stages(given) if _computes(given, one) == wanted]
        for name in names:
            told = skim(run.events_file)
            if found := _speed(told, f"train:{name}", host, preset.launch.processes):
                return Past(run.name, found)
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
