"""What a stage's preset and data come to: the rows of every step, what is due when, and callbacks.

Pure: the same preset and data give the same plan, and `plan_hash` shows whether two are the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workbench.architectures.matrices import experts_of
from workbench.bases.architecture import read_config
from workbench.core import files
from workbench.pipeline.models.weights import Weights
from workbench.pipeline.training.batch_plan import BatchPlan, BatchSettings, single_epoch_plan
from workbench.pipeline.training.compilation import CompileSetting
from workbench.pipeline.training.lr_schedule import Schedule
from workbench.pipeline.training.token_dataset import TokenDataset
from workbench.preset.schema import TrainStage
from workbench.preset.step_plan import StepPlan, micro_tokens, plan_stage
from workbench.run.events import Emit


@dataclass(frozen=True)
class TrainingPlan:
    """The numbers of the loop. Steps in `evaluate_at` and `save_at` count from 1."""

    learning_rate: float
    schedule: Schedule
    warmup_steps: int
    planned_steps: int
    dropout_seed: int
    evaluate_at: frozenset[int]
    save_at: frozenset[int]
    extensions: tuple[int, ...] = ()
    min_learning_rate_ratio: float = 0.0
    max_grad_norm: float = 1.0
    keep_checkpoints: int = 2
    early_stopping: int = 0
    compile: CompileSetting = False


@dataclass(frozen=True)
class TrainingCallbacks:
    """What the loop tells and asks. All are cheap enough for every step."""

    emit: Emit
    should_stop: Callable[[], bool]
    should_checkpoint: Callable[[], bool]
    save_weights: Callable[[str], None]  # "best", "last" or "final"


RESOLVED = "targets include experts"


def plan_batches(
    stage: TrainStage, examples: TokenDataset, *, validation: bool
) -> tuple[BatchPlan, StepPlan]:
    """The rows of every step, and the steps at which something happens."""
    settings = batch_settings(stage)
    plan = BatchPlan(examples.lengths, settings, epochs=stage.epochs, max_steps=stage.max_steps)
    exact = stage.model_copy(update={"max_steps": plan.steps})
    if stage.extensions:
        more = plan.steps + sum(stage.extensions)
        plan = BatchPlan(examples.lengths, settings, max_steps=more)
    steps = plan_stage(
        exact,
        int(examples.lengths.sum()),
        len(examples),
        steps_per_epoch=plan.steps_per_epoch,
        validation=validation,
    )
    return plan, steps


def batch_settings(stage: TrainStage) -> BatchSettings:
    """How the stage's preset gathers rows into steps; `auto` counts as end to end until tried."""
    if stage.batch_tokens:
        return BatchSettings(
            bool(stage.packing),
            stage.order_seed,
            micro_tokens(stage),
            step_tokens=stage.batch_tokens,
        )
    if stage.packing:  # a row of the preset's batch is then a whole packed sequence
        return BatchSettings(
            True, stage.order_seed, micro_tokens(stage), accumulation=stage.accumulation
        )
    return BatchSettings(
        False, stage.order_seed, micro_rows=stage.batch_size, accumulation=stage.accumulation
    )


def loop_settings(stage: TrainStage, steps: StepPlan) -> TrainingPlan:
    return TrainingPlan(
        learning_rate=stage.learning_rate,
        schedule=stage.schedule,
        warmup_steps=steps.warmup_steps,
        dropout_seed=stage.dropout_seed,
        evaluate_at=frozenset(steps.evaluate_steps),
        save_at=frozenset(steps.checkpoint_steps),
        planned_steps=steps.planned_steps,
        extensions=tuple(stage.extensions),
        min_learning_rate_ratio=stage.min_learning_rate_ratio,
        max_grad_norm=stage.max_grad_norm,
        keep_checkpoints=stage.keep_checkpoints,
        early_stopping=stage.early_stopping,
        compile=stage.compile,
    )


def validation_plan(examples: TokenDataset, stage: TrainStage) -> BatchPlan | None:
    """One pass over the validation rows in the stage's own layout; None without such rows."""
    if not len(examples):
        return None
    return single_epoch_plan(examples.lengths, bool(stage.packing), stage.sequence_length)


def plan_hash(stage: TrainStage, weights: Weights, train: Path, validation: Path) -> str:
    """Hash of all that must stay as it was for a checkpoint to be resumed exactly."""
    free = {"keep_checkpoints", "save_every", "extensions"}
    settings = stage.model_dump(mode="json", exclude=free)
    if not settings["adapter"]["modules_to_save"]:  # checkpoints older than the key have no such
        del settings["adapter"]["modules_to_save"]
    data = [files.sha256(path) for path in (train, validation)]
    told: list[object] = [settings, data, weights_fingerprint(weights)]
    if stage.adapter.kind != "full" and _has_experts(weights.base):
        told.append(RESOLVED)  # checkpoints older than it have other parameters
    material = json.dumps(told, sort_keys=True)
    return hashlib.sha256(material.encode()).hexdigest()


def _has_experts(base: Path) -> bool:
    config = read_config(base)
    return experts_of(config.get("text_config") or config) > 1


def weights_fingerprint(weights: Weights) -> list[str]:
    """Names and sizes of the base's files and its config; the adapters by their bytes.

    A base that an earlier stage wrote has a manifest, and so counts by its bytes too.
    """
    told = [weights.base / name for name in ("config.json", "manifest.json")]
    base = [files.sha256(path) for path in told if path.is_file()]
    shards = sorted(weights.base.glob("*.safetensors"))
    base += [f"{path.name}:{path.stat().st_size}" for path in shards]
    return base + [files.sha256(a / "adapter_model.safetensors") for a in weights.adapters]
