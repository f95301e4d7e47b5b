"""Rows end to end, or sorted by length and padded: where a stage leaves it open, both are tried.

Which rows meet in a step hangs on it, so it is chosen once: `layout.json` in the stage's folder
holds the choice and what was measured, and every later life of the stage and every rank goes by it.
From there on the stage is the one whose preset had said so.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from workbench.core import files
from workbench.pipeline.models.causal_lm import causal_model
from workbench.pipeline.training.batch_plan import BatchPlan, MicroBatch, split_micro_batch
from workbench.pipeline.training.device import out_of_memory
from workbench.pipeline.training.distributed.collectives import ProcessGroup
from workbench.pipeline.training.token_dataset import TokenDataset, collate
from workbench.pipeline.training.training_plan import batch_settings
from workbench.preset.schema import TrainStage
from workbench.run import events
from workbench.run.events import Emit

NAME = "layout.json"
WORTH = 0.9  # of the time end to end, at most: steps of sorted rows are less mixed, trials noisy
LAYERS = 2  # the others cost the same; what comes after them costs the same either way
SAMPLES, ROUNDS = 3, 3
POSITIONS = {"cuda": 4096}  # of a batch that is tried, at most
POSITIONS_ELSEWHERE = 512  # there the time goes by the position


def choose_packing(
    stage: TrainStage,
    examples: TokenDataset,
    network: Any,
    folder: Path,
    emit: Emit,
    ranks: ProcessGroup,
    autocast: torch.dtype | None = None,
) -> TrainStage:
    """The stage with `packing` true or false: as it wishes, as it was chosen before, or as tried.

    All ranks go by the first one. The random numbers of the steps do not hang on a trial.
    """
    if stage.packing != "auto":
        return stage
    packing = ranks.agree(
        _first(stage, examples, network, folder, emit, autocast) if ranks.first else True
    )
    return with_packing(stage, packing)


def with_packing(stage: TrainStage, packing: bool) -> TrainStage:
    return stage.model_copy(update={"packing": packing})


def _first(
    stage: TrainStage,
    examples: TokenDataset,
    network: Any,
    folder: Path,
    emit: Emit,
    autocast: torch.dtype | None,
) -> bool:
    """What was chosen before for rows of these lengths; else try, and write it down."""
    lengths = hashlib.sha256(examples.lengths.tobytes()).hexdigest()
    known = _known(folder / NAME)
    if known.get("lengths") == lengths and isinstance(known.get("packing"), bool):
        return bool(known["packing"])
    try:
        packed_us, sorted_us = microseconds(stage, examples, network, autocast)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        packed_us, sorted_us = 0.0, 0.0  # not known; end to end there is no padding to hold
    packing = sorted_us == 0 or sorted_us > WORTH * packed_us
    figures = {"packed_us_a_token": packed_us, "sorted_us_a_token": sorted_us}
    files.write_json(folder / NAME, {"packing": packing, "lengths": lengths, **figures})
    emit(events.Note(message=f"train.{stage.name}: packing: {_told(packing, figures)}"))
    return packing


def _known(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _told(packing: bool, figures: dict[str, float]) -> str:
    kept = "packing rows" if packing else "grouping rows by length with padding"
    packed_us, sorted_us = figures.values()
    if not sorted_us:
        return f"not enough memory to try both; {kept}"
    return (
        f"packed {packed_us:.3g} µs per token in {LAYERS} layers, "
        f"grouped by length {sorted_us:.3g}; {kept}"
    )


def microseconds(
    stage: TrainStage, examples: TokenDataset, network: Any, autocast: torch.dtype | None = None
) -> tuple[float, float]:
    """µs a token (padding is none) of a way there and back: (end to end, sorted by length).

    Of the first layers, over a few batches of the first epoch. Each batch counts with the quickest
    of its rounds, and both ways take turns. Leaves no gradient.
    """
    works = [
        [_work(network, examples, rows, packing, autocast) for rows in batches]
        for packing in (True, False)
        for batches in [_samples(with_packing(stage, packing), examples, _device(network))]
    ]
    least_s = [[math.inf] * len(way) for way in works]
    with _first_layers(network):
        for round_number in range(ROUNDS + 1):  # the first one warms up
            for way, times_s in zip(works, least_s, strict=True):
                for n, (work, _) in enumerate(way):
                    taken_s = _timed(work, _device(network))
                    times_s[n] = min(times_s[n], taken_s) if round_number else math.inf
    packed_us, sorted_us = (
        1e6 * sum(times_s) / sum(tokens for _, tokens in way)
        for way, times_s in zip(works, least_s, strict=True)
    )
    return packed_us, sorted_us


def _samples(stage: TrainStage, examples: TokenDataset, device: torch.device) -> list[MicroBatch]:
    """Micro-batches from the shortest rows to the longest, cut to what is tried."""
    plan = BatchPlan(examples.lengths, batch_settings(stage))
    batches = [rows for step in range(plan.steps) for rows in plan.at(step)]
    batches.sort(key=lambda rows: (int(examples.lengths[list(rows)].max()), rows))
    count = min(SAMPLES, len(batches))
    most = POSITIONS.get(device.type, POSITIONS_ELSEWHERE)
    chosen = (batches[(2 * n + 1) * len(batches) // (2 * count)] for n in range(count))
    return [
        split_micro_batch(rows, examples.lengths, math.ceil(plan.slots(rows) / most))[0]
        for rows in chosen
    ]


def _work(
    network: Any,
    examples: TokenDataset,
    rows: MicroBatch,
    packing: bool,
    autocast: torch.dtype | None,
) -> tuple[Callable[[], None], int]:
    """A pass over the rows to be called, and their tokens."""
    device, decoder = _device(network), causal_model(network).base_model
    batch = collate(examples, rows, packing=packing, pad_id=0, device=device)
    parameters = [p for p in network.parameters() if p.requires_grad]

    def work() -> None:
        with torch.autocast(device.type, autocast, enabled=autocast is not None):
            hidden = decoder(
                input_ids=batch.input_ids,
                position_ids=batch.position_ids,
                use_cache=False,
                segments=batch.segments,
            ).last_hidden_state
        if hidden.requires_grad:  # not where the last layers alone are trained
            hidden.float().mean().backward()
        for parameter in parameters:
            parameter.grad = None

    return work, batch.tokens


@contextmanager
def _first_layers(network: Any) -> Iterator[None]:
    """Within, the decoder computes its first layers only, where its make knows how to."""
    config = causal_model(network).base_model.config
    layers, was_training = config.num_hidden_layers, network.training
    config.num_hidden_layers = min(LAYERS, layers)
    network.train()
    try:
        yield
    finally:
        config.num_hidden_layers = layers
        network.train(was_training)


def _timed(work: Callable[[], None], device: torch.device) -> float:
    """Seconds; on a CPU its own, for what else the machine does would count as well."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    _wait(device)
    started = clock()
    work()
    _wait(device)
    return clock() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _device(network: Any) -> torch.device:
    device: torch.device = next(network.parameters()).device
    return device
