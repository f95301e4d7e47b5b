"""What every rank of a training stage does, alone or among others."""

from __future__ import annotations

from workbench.pipeline.context import Context
from workbench.pipeline.training.distributed.rank import check_devices
from workbench.pipeline.training.distributed.collectives import ALONE, Ranks
from workbench.core.runtime import uncollected


def train(context: Context, number: int, ranks: Ranks = ALONE) -> None:
    """Train the preset's stage `number`; what it came to stands in its `result.json` then."""
    from workbench.pipeline.training.job__pipeline_merging import starting_weights
    from workbench.pipeline.training.weight_prefetch import read_ahead
    from workbench.pipeline.training.device import pick_device, weights_dtype

    stage, model, folder = context.preset.train[number], context.preset.model, context.run.dataset
    device = pick_device(model.device)
    check_devices(ranks, device.type)
    weights = starting_weights(context, number, ranks)
    ahead = read_ahead(weights.base, weights_dtype(stage, model, device), model.quantization)
    with uncollected():  # while a thread reads these weights: the imports take as long
        from workbench.pipeline.models.tokenizer_loading import saved_tokenizer
        from workbench.pipeline.training.stage import train_stage
        from workbench.pipeline.training.sample_prompts import watched

    tokenizer = saved_tokenizer(context.run.tokenizer)
    train_stage(
        stage,
        model,
        weights,
        train=folder / f"{stage.name}.train.safetensors",
        validation=folder / f"{stage.name}.validation.safetensors",
        tokenizer=tokenizer,
        folder=context.run.training(stage.name),
        emit=context.emit,
        stopping=context.stopping,
        checkpoint_now=context.checkpoint_now,
        watched=watched(context, stage, tokenizer),
        ranks=ranks,
        share_weights=context.preset.launch.sharding == "full",
        ahead=ahead,
        beside=context.run.tokenizer,
    )
