"""The first stage: read, check, dedupe, split and tokenize the data, and fetch the base.

    dataset/train.jsonl, validation.jsonl, heldout.jsonl   rows with the place each came from
    dataset/<stage>.{train,validation}.safetensors         what that training stage sees
    dataset/report.json                                    what became of every row
    base.json, tokenizer/                                  the base's folder; the tokenizer in use

After this stage the run no longer looks at the sources: its own copy rules. No model is loaded
here, so whatever is wrong with the data is said before that costs anything.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench import files
from workbench.dataset.lint import lint
from workbench.dataset.prepare import dedupe, find_leaks
from workbench.dataset.read import Reading, read_source, require
from workbench.dataset.rows import Row
from workbench.dataset.template import ChatTemplate, template_for
from workbench.dataset.tokenize import Ledger, encode_stage, from_backend
from workbench.errors import UserError
from workbench.pipeline import base as bases
from workbench.pipeline.mixture import Splits, repeat_rows, rows_of_stage, source_name, split_rows
from workbench.pipeline.training.examples import Examples
from workbench.preset.schema import Data, Preset, TrainStage
from workbench.run import events
from workbench.run.events import Emit
from workbench.run.folder import RunFolder


@dataclass(frozen=True)
class Prepared:
    """Everything that was read, and what was left out of it and why."""

    splits: Splits
    held_out: list[Row]
    readings: list[Reading]
    duplicates: list[tuple[Row, Row]]
    leaks: list[tuple[Row, Row]]
    faults: list[Any]


def prepare(preset: Preset, run: RunFolder, emit: Emit) -> list[Path]:
    """Do the stage; returns the files that later stages rely on. Raises UserError for bad data."""
    prepared = read_all(preset, emit)
    base = bases.fetch(preset.model)
    tokenizer = bases.load_tokenizer(base)
    template = template_for(
        preset.model.chat_template,
        tokenizer.chat_template,
        bos_token=tokenizer.bos_token or "",
        eos_token=tokenizer.eos_token or "",
    )
    bases.save_tokenizer(tokenizer, template.source, run.tokenizer)
    base_file = run.path / "base.json"
    files.write_json(base_file, {"base": preset.model.base, "path": str(base)})
    stops = bases.stop_ids(tokenizer, base)
    written = [base_file, run.tokenizer / "tokenizer.json", *_write_rows(prepared, run)]
    ledgers = {}
    for stage in preset.train:
        paths, ledgers[stage.name] = tokenize_stage(
            stage, prepared.splits, preset.data, template, tokenizer, stops, run.dataset, emit
        )
        written += paths
    report = run.dataset / "report.json"
    files.write_json(report, report_of(prepared, ledgers))
    emit(_ready(prepared))
    return [*written, report]


def read_all(preset: Preset, emit: Emit) -> Prepared:
    """Rows of all sources, without duplicates and without what the evaluation asks."""
    readings = [
        require(read_source(Path(source.path), source.format, source_name(source, n)))
        for n, source in enumerate(preset.data.source)
    ]
    for reading in readings:
        emit(events.Note(message=f"{reading.path}: {len(reading.rows)} rows, {reading.why}"))
    rows, duplicates = dedupe([r for reading in readings for r in reading.rows], preset.data.dedupe)
    rows = with_system(rows, preset.data.system)
    asked = _held_out(preset)
    leaks = find_leaks(rows, asked)
    leaked = {row.place for row, _ in leaks}
    rows = [row for row in rows if row.place not in leaked]
    faults = [fault for reading in readings for fault in reading.faults] + lint(rows)
    splits = split_rows(rows, preset.data)
    held_out = asked or [row for row in splits.validation if row.kind == "chat"]
    prepared = Prepared(splits, held_out, readings, duplicates, leaks, faults)
    _tell(prepared, emit)
    return prepared


def with_system(rows: Sequence[Row], system: str) -> list[Row]:
    """The rows with the preset's system prompt before each conversation that has none."""
    from dataclasses import replace

    from workbench.dataset.rows import SYSTEM, Message

    if not system:
        return list(rows)
    first = Message(SYSTEM, system)
    return [
        replace(row, messages=(first, *row.messages))
        if row.messages and row.messages[0].role != SYSTEM
        else row
        for row in rows
    ]


def tokenize_stage(
    stage: TrainStage,
    splits: Splits,
    data: Data,
    template: ChatTemplate,
    tokenizer: Any,
    stop_ids: Sequence[int],
    folder: Path,
    emit: Emit,
) -> tuple[list[Path], dict[str, Any]]:
    """Write a stage's two splits; returns the files and the ledgers of what was cut or dropped."""
    paths, ledgers = [], {}
    backend = from_backend(tokenizer.backend_tokenizer)
    for name, rows in (("train", splits.train), ("validation", splits.validation)):
        chosen = rows_of_stage(rows, stage, data) if name == "train" else _fitting(rows, stage, data)
        if name == "train":
            chosen = repeat_rows(chosen, data)
        encoded, ledger = encode_stage(
            chosen,
            objective=stage.objective,
            template=template,
            tokenizer=backend,
            sequence_length=stage.sequence_length,
            on_cut=stage.on_cut,
            stop_ids=stop_ids,
        )
        _check_ledger(stage, name, ledger, emit)
        path = folder / f"{stage.name}.{name}.safetensors"
        Examples.of(encoded).save(path)
        paths.append(path)
        ledgers[name] = ledger.to_json()
    return paths, ledgers


def report_of(prepared: Prepared, ledgers: dict[str, Any]) -> dict[str, Any]:
    """What became of every row, for report.json and for the run's own report."""
    return {
        "sources": [
            {
                "path": str(r.path),
                "format": r.format,
                "why": r.why,
                "rows": len(r.rows),
                "faults": [str(fault) for fault in r.faults],
            }
            for r in prepared.readings
        ],
        "train_rows": len(prepared.splits.train),
        "validation_rows": len(prepared.splits.validation),
        "held_out_prompts": len(prepared.held_out),
        "duplicates": [[str(a.place), str(b.place)] for a, b in prepared.duplicates],
        "leaks": [[str(a.place), str(b.place)] for a, b in prepared.leaks],
        "faults": [str(fault) for fault in prepared.faults],
        "stages": ledgers,
    }


def load_rows(path: Path) -> list[Row]:
    """Rows as `prepare` wrote them."""
    with open(path, encoding="utf-8") as file:
        return [Row.from_json(json.loads(line)) for line in file]


def _held_out(preset: Preset) -> list[Row]:
    """The rows of the evaluation's own prompts file; none where the validation split is asked."""
    prompts = preset.evaluate.prompts
    if prompts in ("", "validation"):
        return []
    return require(read_source(Path(prompts), "auto", "evaluate.prompts")).rows


def _fitting(rows: Sequence[Row], stage: TrainStage, data: Data) -> list[Row]:
    """Validation rows for the stage; a stage may have none."""
    try:
        return rows_of_stage(rows, stage, data)
    except UserError:
        return []


def _check_ledger(stage: TrainStage, split: str, ledger: Ledger, emit: Emit) -> None:
    """Warn of every row cut or dropped; refuse a training split with nothing left to learn."""
    for line in ledger.warnings():
        emit(events.Note(message=f"train.{stage.name}: {split}: {line}", level="warning"))
    if split == "train" and ledger.kept == 0:
        raise UserError(
            f"train.{stage.name}.sequence_length = {stage.sequence_length} leaves no row to train",
            hint=f"the longest row has {ledger.longest} tokens",
        )


def _write_rows(prepared: Prepared, run: RunFolder) -> list[Path]:
    run.dataset.mkdir(exist_ok=True)
    parts = {
        "train": prepared.splits.train,
        "validation": prepared.splits.validation,
        "heldout": prepared.held_out,
    }
    paths = []
    for name, rows in parts.items():
        lines = [json.dumps(row.to_json(), ensure_ascii=False) + "\n" for row in rows]
        paths.append(run.dataset / f"{name}.jsonl")
        files.write_atomic(paths[-1], "".join(lines))
    return paths


def _tell(prepared: Prepared, emit: Emit) -> None:
    """One warning each for what was left out and what looks wrong, with the first places."""
    for count, what, first in (
        (len(prepared.duplicates), "exact duplicates left out", prepared.duplicates[:3]),
        (len(prepared.leaks), "rows left out that the evaluation asks", prepared.leaks[:3]),
    ):
        if count:
            places = ", ".join(str(row.place) for row, _ in first)
            emit(events.Note(message=f"{count} {what}: {places} ...", level="warning"))
    if prepared.faults:
        emit(
            events.Note(
                message=f"{len(prepared.faults)} findings in the data: {prepared.faults[0]} ...",
                level="warning",
            )
        )


def _ready(prepared: Prepared) -> events.DataReady:
    return events.DataReady(
        rows=sum(len(reading.rows) for reading in prepared.readings),
        train_rows=len(prepared.splits.train),
        validation_rows=len(prepared.splits.validation),
        duplicates=len(prepared.duplicates),
        leaks=len(prepared.leaks),
        faults=len(prepared.faults),
    )
