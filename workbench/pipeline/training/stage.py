"""A training stage as one function: weights and tokenized rows in, adapters and a result out.

training/<stage>/
  step-000040/            checkpoints, the newest ones
  adapters/{best,last,final}/   PEFT adapters, or whole models where all weights are trained
  result.json             written last: which weights the next stage and the export take
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from workbench.bases.targets import TargetGroup
from workbench.core import files
from workbench.core.errors import RunFailed
from workbench.objectives import objective_of
from workbench.pipeline.models.base_shape import read_shape
from workbench.pipeline.models.serving_files import copy_serving_files
from workbench.pipeline.models.weights import TrainResult, Weights, write_result
from workbench.pipeline.training import model as models
from workbench.pipeline.training import optimizer as optimizers
from workbench.pipeline.training import packing
from workbench.pipeline.training.adapted import trained_groups
from workbench.pipeline.training.batch_plan import OUT_OF_MEMORY_HINT
from workbench.pipeline.training.checkpoint import Counters
from workbench.pipeline.training.device import (
    out_of_memory,
    pick_device,
    pick_dtype,
    weights_dtype,
)
from workbench.pipeline.training.distributed.collectives import SINGLE_PROCESS, ProcessGroup
from workbench.pipeline.training.distributed.sharding import (
    full_state_dict,
    is_sharded,
    refuse_half,
    shard_model,
)
from workbench.pipeline.training.loop import TrainingLoop
from workbench.pipeline.training.losses import loss_of
from workbench.pipeline.training.memory_check import (
    batch_work,
    estimate_stage_memory,
    resolve_gradient_checkpointing,
)
from workbench.pipeline.training.model import Adapter
from workbench.pipeline.training.monitor import NO_MONITORING, MonitorPlan
from workbench.pipeline.training.token_dataset import TokenDataset
from workbench.pipeline.training.training_plan import (
    TrainingCallbacks,
    loop_settings,
    plan_batches,
    plan_hash,
    validation_plan,
)
from workbench.pipeline.training.weight_prefetch import WeightPrefetch
from workbench.preset.schema import Model, TrainStage
from workbench.run import events
from workbench.run.events import Emit

NO_ANSWERS = "watch.prompts are skipped when weights are sharded"


def train_stage(
    stage: TrainStage,
    model: Model,
    weights: Weights,
    *,
    train: Path,
    validation: Path,
    tokenizer: Any,
    folder: Path,
    emit: Emit,
    should_stop: Callable[[], bool],
    should_checkpoint: Callable[[], bool] = lambda: False,
    monitor_plan: MonitorPlan = NO_MONITORING,
    ranks: ProcessGroup = SINGLE_PROCESS,
    shard_weights: bool = False,
    prefetch: WeightPrefetch | None = None,
    beside: Path | None = None,
) -> TrainResult:
    """Train one stage in `folder`, going on where an earlier try stopped.

    `train` and `validation` are files of `TokenDataset`; `tokenizer` is saved beside whole models,
    and the serving files of the folder `beside` beside whatever a later stage or a person takes.
    All `ranks` call it with the same settings; the first alone writes and emits. Where they
    `shard_weights` each holds a part of the model. `prefetch` may have read the base already.
    Raises Interrupted (with a checkpoint), RunFailed or UserError.
    """
    if ranks.first:
        folder.mkdir(parents=True, exist_ok=True)
        for place in (folder, folder / "adapters"):
            files.sweep(place)
    device = pick_device(model.device)
    dtype = pick_dtype(model.dtype, device)
    accelerator = _accelerator(stage, device, dtype, shard_weights)
    examples, held_out = TokenDataset.load(train), TokenDataset.load(validation)
    shares = ranks.size if shard_weights else 1
    if shard_weights and stage.adapter.kind == "full":
        refuse_half(dtype)
    added = [int(tokenizer.convert_tokens_to_ids(text)) for text in model.added_tokens]
    adapter = adapter_settings(stage, added)
    network = _network(
        stage, model, weights, accelerator.device, adapter, len(tokenizer), shares, prefetch
    )
    counted = models.count_parameters(network)
    module = loss_of(objective_of(stage.objective), network)
    groups = [] if adapter.kind == "full" else trained_groups(network)
    if shard_weights:
        shard_model(module, ranks, accelerator.device, dtype if adapter.kind == "full" else None)
        monitor_plan = replace(monitor_plan, prompts=())
    parameters = models.trainable(network)
    told: Emit = emit if ranks.first else lambda event: None
    half = torch.float16 if dtype == torch.float16 else None
    autocast = torch.bfloat16 if accelerator.mixed_precision == "bf16" else half
    if shard_weights and stage.packing == "auto":  # a pass is an exchange of all ranks
        stage = packing.with_packing(stage, True)
    stage = packing.choose_packing(stage, examples, network, folder, told, ranks, autocast)
    plan, steps = plan_batches(stage, examples, validation=True)  # looks are taken all the same
    asked = validation_plan(held_out, stage)
    work = batch_work(plan, examples, asked, held_out)
    loop = TrainingLoop(
        accelerator,
        module,
        _optimizer(stage, parameters),
        parameters,
        train=examples,
        validation=held_out,
        plan=plan,
        validation_plan=asked,
        settings=loop_settings(stage, steps),
        hooks=TrainingCallbacks(
            told,
            should_stop,
            should_checkpoint,
            _weights_saver(
                network, stage, folder, tokenizer, beside, ranks, shard_weights, bool(added)
            ),
        ),
        folder=folder,
        plan_hash=plan_hash(stage, weights, train, validation),
        pad_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0,
        monitor_plan=monitor_plan,
        memory_estimate=estimate_stage_memory(
            read_shape(weights.base / "config.json"), stage, model, work, shares
        ),
        ranks=ranks,
        half=dtype == torch.float16,
    )
    loop.restore()
    loop.hooks.emit(_planned(loop, examples, network, accelerator, counted, groups))
    if shard_weights:
        loop.hooks.emit(events.Note(message=f"train.{stage.name}: {NO_ANSWERS}"))
    for note in _extensions(loop):
        loop.hooks.emit(events.Note(message=f"train.{stage.name}: {note}"))
    return write_result(stage, weights, folder, _run(loop), write=ranks.first)


def _accelerator(
    stage: TrainStage, device: torch.device, dtype: torch.dtype, shard_weights: bool
) -> Accelerator:
    """Autocast to bfloat16 where all weights are trained: they stay float32.

    Shared weights come together in bfloat16 already; autocast would keep a copy of all of them.
    float16 is the loop's own: accelerate's scaling leaves out steps, and counts them all the same.
    """
    full = stage.adapter.kind == "full"
    wanted = dtype == torch.bfloat16 and full and not shard_weights
    AcceleratorState._reset_state()  # else a stage of another format before this one forbids it
    return Accelerator(cpu=device.type == "cpu", mixed_precision="bf16" if wanted else "no")


def _network(
    stage: TrainStage,
    model: Model,
    weights: Weights,
    device: torch.device,
    adapter: Adapter,
    vocabulary: int,
    shares: int,
    prefetch: WeightPrefetch | None,
) -> Any:
    """On the device, or in main memory where its layers are to be shared out one by one."""
    continued_adapter = weights.adapters[-1] if adapter.carry and weights.adapters else None
    before = weights.adapters[:-1] if continued_adapter else weights.adapters
    frozen_adapters = before if model.quantization != "none" else ()
    start = Weights(weights.base, () if frozen_adapters else before)
    dtype = weights_dtype(stage, model, device)
    torch.manual_seed(stage.weights_seed)
    network = models.load(
        start,
        device=torch.device("cpu") if shares > 1 else device,
        dtype=dtype,
        quantization=model.quantization,
        vocabulary=vocabulary if model.added_tokens else 0,
        prefetch=prefetch,
    )
    network = models.attach_adapter(
        network,
        adapter,
        seed=stage.weights_seed,
        continued_adapter=continued_adapter,
        frozen_adapters=frozen_adapters,
    )
    if resolve_gradient_checkpointing(weights.base / "config.json", stage, model, device, shares):
        network.gradient_checkpointing_enable(
            gradient_checkpointing_kwargs={"use_reentrant": False}
        )
    return network


def adapter_settings(stage: TrainStage, new_tokens: Sequence[int] = ()) -> Adapter:
    """The preset's `[train.adapter]` as plain values, with the ids of the tokens added to it."""
    adapter = stage.adapter
    targets = adapter.targets if isinstance(adapter.targets, str) else tuple(adapter.targets)
    return Adapter(
        kind=adapter.kind,
        rank=adapter.rank,
        alpha=adapter.alpha,
        dropout=adapter.dropout,
        targets=targets,
        last_layers=adapter.last_layers,
        rslora=adapter.rslora,
        carry=adapter.continue_ == "carry",
        new_tokens=tuple(new_tokens),
        modules_to_save=tuple(adapter.modules_to_save),
    )


def _optimizer(stage: TrainStage, parameters: dict[str, Any]) -> torch.optim.Optimizer:
    return optimizers.build(
        parameters,
        kind=stage.optimizer,
        learning_rate=stage.learning_rate,
        weight_decay=stage.weight_decay,
        betas=(stage.betas[0], stage.betas[1]),
        eps=stage.adam_eps,
    )


def _weights_saver(
    network: Any,
    stage: TrainStage,
    folder: Path,
    tokenizer: Any,
    beside: Path | None,
    ranks: ProcessGroup,
    shard_weights: bool,
    new_tokens: bool,
) -> Callable[[str], None]:
    """Writes `adapters/{best,last,final}`, each whole or not at all.

    Where all weights are trained `last` is left to the checkpoints: it would be as large again.
    """
    full = stage.adapter.kind == "full"

    def save(which: str) -> None:
        if full and which == "last":
            return
        gathered = shard_weights and (full or new_tokens)  # whose embedding is saved, too
        given: dict[str, Any] = {"state_dict": full_state_dict(network)} if gathered else {}
        if not ranks.first:
            return
        (folder / "adapters").mkdir(exist_ok=True)
        with files.whole_folder(folder / "adapters" / which) as tmp:
            network.save_pretrained(
                tmp, **given, **({} if full else {"selected_adapters": [models.TRAINED]})
            )
            (tmp / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
            if full:
                tokenizer.save_pretrained(tmp)
            if beside is not None and which != "last":  # a checkpoint's, soon replaced
                copy_serving_files(beside, tmp)

    return save


def _planned(
    loop: TrainingLoop,
    examples: TokenDataset,
    network: Any,
    accelerator: Accelerator,
    counted: tuple[int, int],
    groups: Sequence[TargetGroup],
) -> events.TrainingPlanned:
    trained, total = counted
    return events.TrainingPlanned(
        steps=loop.plan.steps,
        from_step=loop.counters.step,
        epochs=round(loop.plan.epoch_after(loop.plan.steps), 3),
        tokens_per_epoch=int(examples.lengths.sum()),
        trained_tokens_per_epoch=int(examples.targets.sum()),
        trainable_parameters=trained,
        total_parameters=total,
        device=str(accelerator.device),
        dtype=str(next(network.parameters()).dtype).removeprefix("torch."),
        processes=loop.ranks.size,
        shared=is_sharded(loop.module),
        targets=[asdict(group) for group in groups],
    )


def _extensions(loop: TrainingLoop) -> Iterator[str]:
    """What each extension that is not done yet does to the learning rate."""
    ends = [*accumulate(loop.settings.extensions, initial=loop.settings.planned_steps)]
    for start, end in pairwise(ends):
        if end > loop.counters.step:
            first, last = loop.learning_rate(start), loop.learning_rate(end - 1)
            peak = max(loop.learning_rate(step) for step in range(start, end))
            course = f"starts at {first:.2g}, peaks at {peak:.2g} and ends at {last:.2g}"
            yield f"extended by steps {start + 1:,} to {end:,}; the learning rate {course}"


def _run(loop: TrainingLoop) -> Counters:
    """Run the loop; memory that does not suffice is said with what to change."""
    try:
        return loop.run()
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        reason = str(error).splitlines()[0]
    raise RunFailed(
        f"out of memory in step {loop.counters.step + 1}: {reason} ({OUT_OF_MEMORY_HINT})"
    )
