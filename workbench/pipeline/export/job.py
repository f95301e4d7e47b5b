"""Jobs after training: the export stage, exports on request, the package."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.errors import Interrupted
from workbench.core.text import duration, size
from workbench.inference.quantization import kind_named
from workbench.pipeline.artifacts import (
    base_info,
    chat_template,
    converter_of,
    is_exported,
    run_template,
    served_gguf_path,
    trained_weights,
)
from workbench.pipeline.context import Context, StageOutcome
from workbench.pipeline.prepare.stage import load_rows
from workbench.preset.schema import TRAIN
from workbench.run import events, export_requests
from workbench.run.export_requests import ExportRequest
from workbench.run.folder import RunFolder

if TYPE_CHECKING:
    from workbench.pipeline.context import Stage
    from workbench.pipeline.export.parity import Parity
    from workbench.pipeline.export.stage import Callbacks, ExportResult
    from workbench.pipeline.export.vocabulary_check import Sample

SAMPLES = 40  # conversations whose ids are compared with llama.cpp's, beside the fixed probes
TOLD_EVERY_S = 0.5  # of an upload
FALLBACKS_TOLD = 5  # as notes; all of them stand in the event of the plan


def export(context: Context) -> StageOutcome:
    """The trained weights as GGUF files, each proved, and merged safetensors where asked for."""
    wished = context.preset.export
    result = _write(context, wished.formats, wished.merged)
    return StageOutcome(result.artefacts, {"files": len(result.files)})


def requested(run: RunFolder, wanted: Sequence[str]) -> list[Stage]:
    """The stages of all exports on record; one that `wanted` names is put there.

    Raises UserError for a type that there is not.
    """
    from workbench.pipeline.context import Stage

    for request in filter(None, map(export_requests.parse, wanted)):
        for name in request.types:
            kind_named(name)
        export_requests.record(run, request)
    return [
        Stage(
            request.stage,
            f"Export to {', '.join(request.words)}",
            list(request.words),
            _another(request),
            needs=("prepare", TRAIN),
        )
        for request in export_requests.requests(run)
    ]


def _another(request: ExportRequest) -> Callable[[Context], StageOutcome]:
    """The job of an export on request; one that fails is taken off the record."""

    def job(context: Context) -> StageOutcome:
        try:
            result = _write(context, request.types, request.merged)
        except (Interrupted, KeyboardInterrupt):
            raise
        except BaseException:
            export_requests.withdraw(context.run, request)
            raise
        return StageOutcome(result.artefacts, _told(result))

    return job


def _told(result: ExportResult) -> dict[str, Any]:
    """What the stage's line says: each type with its divergence in nats."""
    divergence = {one.parity.type: one.parity.kl_mean for one in result.parity}
    told: dict[str, Any] = {
        f"{file.type} KL": divergence.get(file.type, "not measured") for file in result.files
    }
    return told | ({"merged": "written"} if result.merged else {})


def package(context: Context) -> StageOutcome:
    """The Modelfile for the file that is served, and the model in Ollama where asked for."""
    from workbench.pipeline.package import command_for_ollama, write_modelfile

    preset, run = context.preset, context.run
    ends = base_info(context)["end_of_turn"]
    path, warnings = write_modelfile(
        preset, run, served_gguf_path(context), run_template(context), ends
    )
    for warning in warnings:
        context.emit(events.Note(message=warning, level="warning"))
    if preset.ollama.create:
        _create_in_ollama(context, path)
    command = command_for_ollama(preset, run, path)
    place = path.relative_to(run.path).as_posix()
    context.emit(events.Packaged(path=place, command=command))
    return StageOutcome([path])


def _create_in_ollama(context: Context, modelfile: Path) -> None:
    from workbench.serving.ollama_client import CreateProgress, create_model

    told = [0.0]

    def doing(doing: CreateProgress) -> None:
        now = time.monotonic()
        if doing.total and doing.done < doing.total and now - told[0] < TOLD_EVERY_S:
            return
        told[0] = now
        done, total = (round(n / 2**20) for n in (doing.done, doing.total))
        context.emit(events.Progress(done=done, total=total, unit="MiB", label=doing.what))

    name = context.preset.ollama.name or context.run.name
    made = create_model(modelfile, name, doing=doing, should_stop=context.should_stop)
    context.emit(events.Note(message=f"created {made.name} in Ollama at {made.address}"))


def _write(context: Context, formats: Sequence[str], merged: bool) -> ExportResult:
    from workbench.pipeline.export.converted import export_converted
    from workbench.pipeline.export.model_card import model_card
    from workbench.pipeline.export.stage import export_stage

    run, converter = context.run, converter_of(context)
    common: dict[str, Any] = {
        "name": run.name,
        "formats": formats,
        "end_of_turn": base_info(context)["end_of_turn"],
        "merged": merged,
        "card": partial(model_card, context),
        "parity": context.preset.export.parity,
        "samples": _samples(context),
        "callbacks": _callbacks(context, formats, merged),
    }
    weights = trained_weights(context)
    if converter or not (formats or is_exported(context)):
        result = export_converted(weights, run.tokenizer, run.export, converter=converter, **common)
    else:
        result = export_stage(
            weights,
            run.tokenizer,
            run.export,
            chat_template=chat_template(context),
            quantization=context.preset.model.quantization,
            **common,
        )
    if result.coarse:
        context.emit(events.Note(message=_of_coarse(result.coarse)))
    for warning in result.warnings:
        context.emit(events.Note(message=warning, level="warning"))
    return result


def _of_coarse(coarse: Parity) -> str:
    return (
        f"trained on the {coarse.type} base model, merged into the full-precision one: "
        f"mean KL {coarse.kl_mean:.2g} nats from the model as trained, same top-1 token "
        f"at {coarse.top1:.0%} of {coarse.positions} positions"
    )


def _samples(context: Context) -> list[Sample]:
    """Held-out and validation conversations as training would have tokenized them."""
    from tokenizers import Tokenizer

    from workbench.pipeline.export.vocabulary_check import Sample

    template = run_template(context)
    backend = Tokenizer.from_file(str(context.run.tokenizer / "tokenizer.json"))
    rows = [*load_rows(context.run.dataset / "heldout.jsonl")]
    rows += load_rows(context.run.dataset / "validation.jsonl")
    samples = []
    for row in [row for row in rows if row.messages][:SAMPLES]:
        text = template.render(row.messages, tools=row.tools)
        asked = template.render(row.prompt_messages(), True, row.tools) if row.expected else ""
        ids, before = (
            tuple(backend.encode(part, add_special_tokens=False).ids) for part in (text, asked)
        )
        samples.append(Sample(text, ids, before))
    return samples


def _foreseen(foreseen: Any) -> str:
    """What the export will take, in a line."""
    sizes = ", ".join(f"{name} {size(n_bytes)}" for name, n_bytes in foreseen.bytes.items())
    takes = (
        f"about {duration(foreseen.writing_s)} to write, {size(foreseen.disk_bytes)} of disk space"
    )
    return f"export: {sizes or 'the merged model'}; {takes}"


def _callbacks(context: Context, formats: Sequence[str], merged: bool) -> Callbacks:
    from workbench.pipeline.export.stage import Callbacks

    emit = context.emit

    def warn(line: str) -> None:
        emit(events.Note(message=line, level="warning"))

    def on_plan(plan: Any, foreseen: Any) -> None:
        names = [name.lower() for name in formats]
        told = [fallback for fallback in plan.fallbacks if fallback.type in names]
        fallbacks = {name: [str(f) for f in told if f.type == name] for name in foreseen.bytes}
        emit(
            events.ExportPlanned(
                adapters=len(plan.weights.adapters),
                tensors=len(plan.tensors),
                bytes=dict(foreseen.bytes),
                fallbacks={name: lines for name, lines in fallbacks.items() if lines},
                merged=merged,
                disk_bytes=foreseen.disk_bytes,
                writing_s=round(foreseen.writing_s, 1),
            )
        )
        emit(events.Note(message=_foreseen(foreseen)))
        for fallback in told[:FALLBACKS_TOLD]:
            warn(f"{fallback.type}: {fallback}")

    def on_step(step: Any) -> None:
        emit(
            events.Progress(
                done=step.done, total=step.total, unit=step.unit, label=step.doing, detail=step.name
            )
        )

    def on_file(file: Any, elapsed_s: float) -> None:
        for line in file.told[:FALLBACKS_TOLD]:
            warn(f"{file.type}: {line}")
        emit(
            events.FileExported(
                type=file.type,
                path=file.path.relative_to(context.run.path).as_posix(),
                bytes=file.bytes,
                fallbacks=file.fallbacks,
                elapsed_s=elapsed_s,
            )
        )

    def on_answers(line: str) -> None:
        emit(events.Note(message=line))

    def on_parity(parity: Any, verdict: Any) -> None:
        emit(
            events.ParityMeasured(
                type=parity.type,
                kl_mean=parity.kl_mean,
                kl_max=parity.kl_max,
                top1=parity.top1,
                ids_equal=parity.ids_equal,
                passed=verdict.passed,
            )
        )

    return Callbacks(on_plan, on_step, on_file, on_parity, on_answers, context.should_stop)
