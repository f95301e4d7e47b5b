"""What a training stage is watched by, from the run's preset: prompts, and how they are asked.

A conversation is asked through the run's own template; a pretraining stage is given the beginning
of a text to go on from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.dataset.duplicates import with_system
from workbench.dataset.rows import USER, Message, Place, Row
from workbench.dataset.sources import read_source, require
from workbench.inference.conversation import sampling_params
from workbench.pipeline.artifacts import base_info, run_template, stop_ids
from workbench.pipeline.context import Context
from workbench.pipeline.models import base_model as bases
from workbench.pipeline.prepare.stage import load_rows, separator_id
from workbench.pipeline.prepare.training_data import rows_of_stage
from workbench.pipeline.training.monitor import MonitorPlan, general_examples
from workbench.pipeline.training.sample_generation import Prompt, SampleSettings
from workbench.preset.schema import TrainStage
from workbench.preset.watch import PROMPT_FILE
from workbench.run import events
from workbench.tokenization.conversations import encode_prompt
from workbench.tokenization.tokenizer import BackendTokenizer, from_backend

FIRST_WORDS = 24  # of a document, in tokens, for the model to go on from


def monitor_plan(context: Context, stage: TrainStage, tokenizer: Any) -> MonitorPlan:
    """The stage's looks; prompts too long for the context are left out, and said so."""
    watch, backend = context.preset.watch, from_backend(tokenizer.backend_tokenizer)
    general = None
    if watch.general:
        general = general_examples(backend, separator_id(tokenizer), stage.sequence_length)
    if stage.objective == "sft":
        prompts = _conversations(context, backend)
    else:
        prompts = _beginnings(context, stage, backend)
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
        stopping=context.stopping,
    )


def _older_stop_ids(context: Context, tokenizer: Any) -> list[int]:
    """Those of a run that was prepared before they were noted."""
    facts = base_info(context)
    stops = bases.stop_ids(tokenizer, Path(facts["path"]))
    if facts["end_of_turn"]:
        stops.append(int(tokenizer.convert_tokens_to_ids(facts["end_of_turn"])))
    return list(dict.fromkeys(stops))


def _conversations(context: Context, backend: BackendTokenizer) -> list[Prompt]:
    """Conversations up to their last answer, asked as the chat would ask them."""
    watch, template = context.preset.watch, run_template(context)
    if watch.prompts == "auto":
        rows = _varied(load_rows(context.run.dataset / "heldout.jsonl"))
    else:
        rows = [_as_asked(row) for prompt in watch.prompts for row in _named(prompt)]
        rows = with_system(rows, context.preset.data.system)
    asked = [(row.prompt_messages(), row.tools) for row in rows[: watch.count]]
    return [
        Prompt(_last_said(messages), encode_prompt(messages, template, backend, tools))
        for messages, tools in asked
    ]


def _beginnings(context: Context, stage: TrainStage, backend: BackendTokenizer) -> list[Prompt]:
    """Texts to go on from: those of the preset, or the first words of held-back documents."""
    watch, preset = context.preset.watch, context.preset
    if watch.prompts == "auto":
        rows = load_rows(context.run.dataset / "validation.jsonl")
        texts = [row.text for row in rows_of_stage(rows, stage, preset.data)]
        limit: int | None = FIRST_WORDS
    else:
        named = [row for prompt in watch.prompts for row in _named(prompt)]
        texts, limit = [row.text or _last_said(row.messages) for row in named], None
    lead = [] if backend.bos_id is None else [backend.bos_id]
    prompts = []
    for text in texts[: watch.count]:
        ids, offsets = backend.encode(text)
        shown = text[: offsets[:limit][-1][1]] if ids else ""
        prompts.append(Prompt(shown, [*lead, *ids[:limit]] if ids else []))
    return prompts


def _named(prompt: str) -> list[Row]:
    """A prompt of the preset: the rows of a file, or the text itself."""
    if prompt.startswith(PROMPT_FILE):
        path = prompt.removeprefix(PROMPT_FILE)
        rows = require(read_source(path, answers=False), path).rows
        return [replace(row, text=row.text.rstrip("\n")) for row in rows]
    return [Row(Place("watch.prompts", 0), text=prompt)]


def _as_asked(row: Row) -> Row:
    """A text becomes what the user says."""
    return row if row.messages else replace(row, messages=(Message(USER, row.text),), text="")


def _last_said(messages: Sequence[Message]) -> str:
    return next((m.content for m in reversed(messages) if m.role == USER), "")


def _varied(rows: Iterable[Row]) -> list[Row]:
    """The first row of every category, then the others, each in their order."""
    firsts: dict[str, Row] = {}
    others = [row for row in rows if firsts.setdefault(row.category, row) is not row]
    return [*firsts.values(), *others]


def _fitting(context: Context, prompts: Sequence[Prompt]) -> list[Prompt]:
    longest = context.preset.generate.context
    kept = [prompt for prompt in prompts if 0 < len(prompt.ids) < longest]
    if len(kept) < len(prompts):
        count = len(prompts) - len(kept)
        message = f"watch.prompts: skipped {count} that are empty or longer than generate.context"
        context.emit(events.Note(message=message, level="warning"))
    return kept
