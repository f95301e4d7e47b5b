"""What a training stage is watched by, from the run's preset: prompts, and how they are sampled.

The objective of the stage makes the prompts: a conversation for the run's chat template, say, or
the beginning of a text to continue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.dataset.rows import Place, Row
from workbench.dataset.sources import read_source, require
from workbench.inference.conversation import sampling_params
from workbench.objectives import objective_of
from workbench.objectives.base import SamplePrompt, SampleRows
from workbench.pipeline.artifacts import base_info, run_template, stop_ids
from workbench.pipeline.context import Context
from workbench.pipeline.models import base_model as bases
from workbench.pipeline.prepare.stage import load_rows, separator_id
from workbench.pipeline.prepare.training_data import rows_of_stage
from workbench.pipeline.training.monitor import MonitorPlan, general_examples
from workbench.pipeline.training.sample_generation import SampleSettings
from workbench.preset.schema import TrainStage
from workbench.preset.watch import PROMPT_FILE
from workbench.run import events
from workbench.tokenization.tokenizer import from_backend


def monitor_plan(context: Context, stage: TrainStage, tokenizer: Any) -> MonitorPlan:
    """The stage's looks; prompts too long for the context are left out, and said so."""
    watch, backend = context.preset.watch, from_backend(tokenizer.backend_tokenizer)
    general = None
    if watch.general:
        general = general_examples(backend, separator_id(tokenizer), stage.sequence_length)
    rows, objective = _rows(context, stage), objective_of(stage.objective)
    prompts = objective.sample_prompts(
        rows, backend, lambda: run_template(context), context.preset.watch.count
    )
    return MonitorPlan(
        time_share=watch.time_share,
        folder=context.run.samples / stage.name,
        prompts=_fitting(context, prompts),
        asking=_asking(context, tokenizer),
        general=general,
    )


def _asking(context: Context, tokenizer: Any) -> SampleSettings:
    sampling = sampling_params(context.preset.generate)
    shortened = min(context.preset.watch.max_tokens, sampling.max_tokens)
    stops = stop_ids(context) or _older_stop_ids(context, tokenizer)

    def decode(ids: list[int]) -> str:
        return str(tokenizer.decode(ids, skip_special_tokens=False))

    return SampleSettings(
        sampling=replace(sampling, max_tokens=shortened),
        decode=decode,
        stop_ids=stops,
        stops=context.preset.generate.stop,
        pad_id=tokenizer.pad_token_id or 0,
        should_stop=context.should_stop,
    )


def _older_stop_ids(context: Context, tokenizer: Any) -> list[int]:
    """Those of a run that was prepared before they were noted."""
    facts = base_info(context)
    stops = bases.stop_ids(tokenizer, Path(facts["path"]))
    if facts["end_of_turn"]:
        stops.append(int(tokenizer.convert_tokens_to_ids(facts["end_of_turn"])))
    return list(dict.fromkeys(stops))


def _rows(context: Context, stage: TrainStage) -> SampleRows:
    """The rows of the preset's prompts, else those that the run has kept."""
    watch, preset, dataset = context.preset.watch, context.preset, context.run.dataset
    named = None
    if watch.prompts != "auto":
        named = [row for prompt in watch.prompts for row in _named(prompt)]
    return SampleRows(
        named,
        held_out=lambda: load_rows(dataset / "heldout.jsonl"),
        validation=lambda: rows_of_stage(
            load_rows(dataset / "validation.jsonl"), stage, preset.data
        ),
        system=preset.data.system,
    )


def _named(prompt: str) -> list[Row]:
    """A prompt of the preset: the rows of a file, or the text itself."""
    if prompt.startswith(PROMPT_FILE):
        path = prompt.removeprefix(PROMPT_FILE)
        rows = require(read_source(path, answers=False), path).rows
        return [replace(row, text=row.text.rstrip("\n")) for row in rows]
    return [Row(Place("watch.prompts", 0), text=prompt)]


def _fitting(context: Context, prompts: Sequence[SamplePrompt]) -> list[SamplePrompt]:
    longest = context.preset.generate.context
    kept = [prompt for prompt in prompts if 0 < len(prompt.ids) < longest]
    if len(kept) < len(prompts):
        count = len(prompts) - len(kept)
        message = f"watch.prompts: skipped {count} that are empty or longer than generate.context"
        context.emit(events.Note(message=message, level="warning"))
    return kept
