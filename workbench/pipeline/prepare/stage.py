"""The first stage: read, check, dedupe, split and tokenize the data, and fetch the base.

    dataset/train.jsonl, validation.jsonl, heldout.jsonl   rows with the place each came from
    dataset/<stage>.{train,validation}.safetensors         what that training stage sees
    dataset/report.json                                    what became of every row
    base.json, tokenizer/                                  the base's folder; the tokenizer in use,
                                                           its templates and generation settings

After this stage the run no longer looks at the sources: its own copy rules. No model is loaded
here, so whatever is wrong with the data or the base is said before that costs anything: config.json
and the tokenizer come first and are checked, the weights last.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from workbench.core import files
from workbench.core.errors import UserError
from workbench.core.findings import Finding
from workbench.core.runtime import garbage_collection_paused
from workbench.core.text import quantity
from workbench.dataset.checks.linter import lint
from workbench.dataset.duplicates import dedupe, find_leaks, first_turn_key, with_system
from workbench.dataset.reader_options import ReaderOptions
from workbench.dataset.rows import Fault, Row, raise_faults
from workbench.dataset.sources import ReadResult, read_source, require
from workbench.objectives import objective_of
from workbench.pipeline.checks import check
from workbench.pipeline.models import base_model as bases
from workbench.pipeline.models.candidate import Candidate, When
from workbench.pipeline.models.serving_files import generation_values
from workbench.pipeline.models.tokenizer_loading import load_tokenizer
from workbench.pipeline.prepare.sequence_file import SequenceCache, SequenceWriter, encoding_key
from workbench.pipeline.prepare.training_data import (
    Splits,
    repeat_rows,
    rows_of_stage,
    source_name,
    split_rows,
)
from workbench.preset.inputs import MINIATURE
from workbench.preset.miniature import WARNING
from workbench.preset.rules import needs_chat_template
from workbench.preset.schema import Data, DataSource, Preset, TrainStage
from workbench.run import events
from workbench.run.events import Emit
from workbench.run.folder import RunFolder
from workbench.tokenization.chat_format import check_template
from workbench.tokenization.chat_template import ChatTemplate, resolve_chat_template
from workbench.tokenization.encoder import EncodedSplit, Encoder, require_sequences
from workbench.tokenization.encoding_pool import EncodingPool
from workbench.tokenization.encoding_stats import EncodingStats
from workbench.tokenization.named_templates import read_templates
from workbench.tokenization.tokenizer import from_backend

END_OF_TEXT = "<|endoftext|>"
PLACES = 3


@dataclass(frozen=True)
class PreparedData:
    """Everything that was read, and what was left out of it and why."""

    splits: Splits
    held_out: list[Row]
    readings: list[tuple[str, ReadResult]]
    duplicates: list[tuple[Row, Row]]
    leaks: list[tuple[Row, Row]]
    faults: list[Fault]


def prepare(preset: Preset, run: RunFolder, emit: Emit, *, exports: bool = True) -> list[Path]:
    """Do the stage; returns the files that later stages rely on.

    `exports`: whether this invocation reaches the export. Raises UserError for bad data, and for a
    base that cannot be trained or, before the export, written.
    """
    base = bases.fetch_config(preset.model)
    candidate = Candidate(base, preset, bases.file_names(preset.model, base), exports)
    checked = check(When.CONFIG, candidate, emit)
    if preset.model.base.startswith(MINIATURE):
        emit(events.Note(message=WARNING, level="warning"))
        emit(events.Note(message=_whose_tokenizer(preset.model.base)))
    with garbage_collection_paused():  # transformers is imported
        tokenizer = load_tokenizer(base, preset.model.added_tokens, partial(_note, emit))
    template, stops, end_of_turn = chat_format(preset, tokenizer, base)
    with garbage_collection_paused():
        prepared = read_all(preset, emit)
    bases.save_tokenizer(
        tokenizer,
        template.by_name if template else {},
        run.tokenizer,
        generation_of(preset, tokenizer, stops or bases.stop_ids(tokenizer, base)),
        base,
    )
    candidate = with_tokenizer(candidate, run.tokenizer, template, end_of_turn, prepared)
    checked += check(When.TOKENIZER, candidate, emit)
    written = [run.tokenizer / "tokenizer.json", *_write_rows(prepared, run)]
    ledgers = {}
    for stage in preset.train:
        paths, ledgers[stage.name] = tokenize_stage(
            stage,
            prepared.splits,
            preset.data,
            template,
            tokenizer,
            stops,
            run.dataset,
            emit,
            remember=True,
        )
        written += paths
    base = bases.fetch(preset.model, _download_told(emit), pinned=base)
    checked += check(When.WEIGHTS, replace(candidate, base=base), emit)
    base_file = run.path / "base.json"
    facts = {"base": preset.model.base, "path": str(base), "end_of_turn": end_of_turn}
    files.write_json(base_file, facts)
    report = run.dataset / "report.json"
    files.write_json(report, report_of(prepared, ledgers, checked))
    emit(_ready(prepared))
    return [base_file, *written, report]


def _whose_tokenizer(base: str) -> str:
    """Whether a miniature has the model's own tokenizer."""
    from workbench.pipeline.models.miniature_model import own_tokenizer  # few runs need it

    name = base.removeprefix(MINIATURE)
    if Path(name).is_dir() or own_tokenizer(name):
        return "the miniature has the tokenizer of the model itself"
    return "the miniature has a small tokenizer of the same kind: the model's own is not here"


def with_tokenizer(
    candidate: Candidate,
    tokenizer: Path,
    template: ChatTemplate | None,
    end_of_turn: str,
    prepared: PreparedData,
) -> Candidate:
    """The candidate with the tokenizer in use and the rows, for the TOKENIZER checks."""
    rows = (*prepared.splits.train, *prepared.splits.validation, *prepared.held_out)
    return replace(
        candidate, tokenizer=tokenizer, template=template, end_of_turn=end_of_turn, rows=rows
    )


def read_all(preset: Preset, emit: Emit) -> PreparedData:
    """Rows of all sources, without duplicates and without what the evaluation asks."""
    readings = [
        (source.path, require(_read(source, n), source.path))
        for n, source in enumerate(preset.data.source)
    ]
    for path, reading in readings:
        message = f"{path}: {quantity(len(reading.rows), 'row')}, {reading.format} ({reading.why})"
        emit(events.Note(message=message))
    found = [row for _, reading in readings for row in reading.rows]
    rows, duplicates = dedupe(found, preset.data.dedupe)
    asked = _held_out(preset)
    leaks = find_leaks(rows, asked) if asked else []
    if leaks:
        openings = {first_turn_key(row) for row in asked}
        rows = [row for row in rows if first_turn_key(row) not in openings]
    rows, asked = (with_system(some, preset.data.system) for some in (rows, asked))
    faults = [fault for _, reading in readings for fault in reading.faults] + lint(rows)
    splits = split_rows(rows, preset.data)
    held_out = asked or [row for row in splits.validation if row.kind == "chat"]
    prepared = PreparedData(splits, held_out, readings, duplicates, leaks, faults)
    _tell(prepared, emit)
    return prepared


def _download_told(emit: Emit) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        here, all_of_it = (n >> 20 for n in (done, total))
        emit(
            events.Progress(
                done=here, total=all_of_it, unit="MiB", label="downloading the base model"
            )
        )

    return progress


def chat_format(
    preset: Preset, tokenizer: Any, base: Path
) -> tuple[ChatTemplate | None, list[int], str]:
    """(chat template, ids that end an answer, text of the template's own end where it is not EOS).

    A base without a template is fine where no stage trains on conversations. Raises UserErrors,
    before any row is tokenized, for a template that cannot be trained with.
    """
    own = read_templates(base)
    needed = needs_chat_template(preset)
    if not (needed or own or preset.model.chat_template != "auto"):
        return None, [], ""
    template = resolve_chat_template(
        preset.model.chat_template,
        own,
        bos_token=tokenizer.bos_token or "",
        eos_token=tokenizer.eos_token or "",
    )
    report = check_template(template, from_backend(tokenizer.backend_tokenizer))
    raise_faults(report.faults)
    stops = [*report.stop_ids, *bases.stop_ids(tokenizer, base)]
    if report.stop_id is None or report.stop_id == tokenizer.eos_token_id:
        return template, list(dict.fromkeys(stops)), ""
    end_of_turn = str(tokenizer.convert_ids_to_tokens(report.stop_id))
    return template, list(dict.fromkeys(stops)), end_of_turn


def generation_of(preset: Preset, tokenizer: Any, stop_ids: Sequence[int]) -> dict[str, Any]:
    """What goes into generation_config.json; `stop_ids` end an answer, the trained end first."""
    pad, bos = tokenizer.pad_token_id, tokenizer.bos_token_id
    return generation_values(preset.generate, stop_ids, pad_id=pad, bos_id=bos)


def tokenize_stage(
    stage: TrainStage,
    splits: Splits,
    data: Data,
    template: ChatTemplate | None,
    tokenizer: Any,
    stop_ids: Sequence[int],
    folder: Path,
    emit: Emit,
    *,
    remember: bool = False,
) -> tuple[list[Path], dict[str, Any]]:
    """Write a stage's two splits; returns the files and the ledgers of what was cut or dropped.

    With `remember`, later runs take over what is the same; so the folder must be there to stay.

    Raises UserErrors for rows that the template refuses, UserError when nothing is left to train.
    """
    objective = objective_of(stage.objective)
    train = repeat_rows(rows_of_stage(splits.train, stage, data), data)
    if not train:
        raise UserError(f"train.{stage.name}: its sources contain no {objective.data_title}")
    encoder = Encoder(
        objective.encoding(),
        from_backend(tokenizer.backend_tokenizer),
        template,
        stage.sequence_length,
        tuple(stop_ids),
        separator_id(tokenizer),
    )
    earlier = SequenceCache(encoding_key(encoder, tokenizer.backend_tokenizer.to_str()))
    paths, ledgers = [], {}
    with EncodingPool(encoder, partial(_note, emit)) as crew:
        for name, rows in (
            ("train", train),
            ("validation", rows_of_stage(splits.validation, stage, data)),
        ):
            paths.append(folder / f"{stage.name}.{name}.safetensors")
            encoding = EncodedSplit(ledger=EncodingStats(stage.sequence_length))
            with SequenceWriter(paths[-1]) as writer:
                for key, found in earlier.encode(rows, crew):
                    writer.add(found, encoding.enter(found, stage.on_cut), key)
            if name == "train":
                require_sequences(encoding, stage.on_cut)
            left_out = encoding.ledger.lines()[1:]
            for line in left_out:
                _note(emit, f"train.{stage.name}, {name} rows: {line}")
            ledgers[name] = {**encoding.ledger.to_json(), "notes": left_out}
    if remember:
        earlier.remember(paths)
    return paths, ledgers


def separator_id(tokenizer: Any) -> int:
    """The token that ends a document: `<|endoftext|>` where there is one, else EOS."""
    known = tokenizer.get_vocab()
    found = known.get(END_OF_TEXT, tokenizer.eos_token_id)
    if found is None:
        raise UserError("the tokenizer has no EOS token to separate documents")
    return int(found)


def report_of(
    prepared: PreparedData, ledgers: dict[str, Any], checked: Sequence[Finding] = ()
) -> dict[str, Any]:
    """What became of every row and what checks of the base found, for report.json.

    The run's own report and the model card take it from there.
    """
    return {
        "sources": [
            {
                "path": path,
                "format": reading.format,
                "why": reading.why,
                "rows": len(reading.rows),
                "faults": [str(fault) for fault in reading.faults],
            }
            for path, reading in prepared.readings
        ],
        "train_rows": len(prepared.splits.train),
        "validation_rows": len(prepared.splits.validation),
        "held_out_prompts": len(prepared.held_out),
        "duplicates": [[str(a.place), str(b.place)] for a, b in prepared.duplicates],
        "leaks": [[str(a.place), str(b.place)] for a, b in prepared.leaks],
        "faults": [str(fault) for fault in prepared.faults],
        "stages": ledgers,
        "checks": [
            {"check": one.check, "level": one.level, "message": one.message} for one in checked
        ],
    }


def load_rows(path: Path) -> list[Row]:
    """Rows as `prepare` wrote them."""
    with open(path, encoding="utf-8") as file:
        return [Row.from_json(json.loads(line)) for line in file]


def _read(source: DataSource, number: int) -> ReadResult:
    name, options = source_name(source, number), ReaderOptions(**source.options())
    return read_source(source.path, source.format, name, options=options)


def _held_out(preset: Preset) -> list[Row]:
    """The rows of the evaluation's own prompts file; none where the validation split is asked."""
    prompts = preset.evaluate.prompts
    if prompts in ("", "validation"):
        return []
    return require(read_source(prompts, answers=False), prompts).rows


def _write_rows(prepared: PreparedData, run: RunFolder) -> list[Path]:
    parts = {
        "train": prepared.splits.train,
        "validation": prepared.splits.validation,
        "heldout": prepared.held_out,
    }
    paths = []
    for name, rows in parts.items():
        lines = [_line(row) for row in rows]
        paths.append(run.dataset / f"{name}.jsonl")
        files.write_atomic(paths[-1], b"".join(lines))
    return paths


def _line(row: Row) -> bytes:
    """The row as a line of JSON; a tool's argument may be a number that orjson does not write."""
    value = row.to_json()
    try:
        return orjson.dumps(value) + b"\n"
    except TypeError:
        return json.dumps(value).encode() + b"\n"


def _tell(prepared: PreparedData, emit: Emit) -> None:
    """One warning each for what was left out and what looks wrong, with the first places."""
    for pairs, noun, what in (
        (prepared.duplicates, "duplicate row", "removed"),
        (prepared.leaks, "row", "with a held-out prompt removed from training"),
    ):
        if pairs:
            places = [str(row.place) for row, _ in pairs]
            _warn(f"{quantity(len(pairs), noun)} {what}", places, emit)
    if prepared.faults:
        _warn(quantity(len(prepared.faults), "finding"), [str(f) for f in prepared.faults], emit)


def _warn(what: str, places: Sequence[str], emit: Emit) -> None:
    shown = ", ".join(places[:PLACES])
    more = ", …" if len(places) > PLACES else ""
    _note(emit, f"{what}: {shown}{more}")


def _note(emit: Emit, message: str) -> None:
    emit(events.Note(message=message, level="warning"))


def _ready(prepared: PreparedData) -> events.DataReady:
    return events.DataReady(
        rows=sum(len(reading.rows) for _, reading in prepared.readings),
        train_rows=len(prepared.splits.train),
        validation_rows=len(prepared.splits.validation),
        duplicates=len(prepared.duplicates),
        leaks=len(prepared.leaks),
        faults=len(prepared.faults),
    )
