"""The wiring of the stages: from a run's folder and preset to plain values, and back to events.

The stages know nothing of runs; this module knows nothing of how they work.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.dataset.template import ChatTemplate
from workbench.pipeline.context import Context, Outcome
from workbench.pipeline.prepare import load_rows
from workbench.pipeline.prepare import prepare as prepare_stage
from workbench.pipeline.training.weights import Weights
from workbench.run import events
from workbench.run.folder import RunFolder

if TYPE_CHECKING:
    from workbench.pipeline.export.stage import Callbacks
    from workbench.pipeline.export.vocabulary_check import Sample

SAMPLES = 40  # conversations whose ids are compared with llama.cpp's, beside the fixed probes
FALLBACKS_TOLD = 5


def prepare(context: Context) -> Outcome:
    """Data, tokenizer and base."""
    return Outcome(prepare_stage(context.preset, context.run, context.emit))


def training(number: int) -> Callable[[Context], Outcome]:
    """The job of the preset's training stage `number`."""

    def job(context: Context) -> Outcome:
        from workbench.pipeline.base import load_tokenizer
        from workbench.pipeline.training.stage import train_stage
        from workbench.pipeline.watched import watched

        stage, folder = context.preset.train[number], context.run.dataset
        tokenizer = load_tokenizer(context.run.tokenizer)
        result = train_stage(
            stage,
            context.preset.model,
            weights_before(context, number),
            train=folder / f"{stage.name}.train.safetensors",
            validation=folder / f"{stage.name}.validation.safetensors",
            tokenizer=tokenizer,
            folder=context.run.training(stage.name),
            emit=context.emit,
            stopping=context.stopping,
            checkpoint_now=context.checkpoint_now,
            watched=watched(context, stage, tokenizer),
        )
        saved = [p for w in (result.weights, result.last) for p in _files_of(context, w)]
        summary = {"steps": result.steps, "best_loss": result.best_loss}
        done = context.run.training(stage.name) / "result.json"
        return Outcome([done, *dict.fromkeys(saved)], summary)

    return job


def export(context: Context) -> Outcome:
    """The trained weights as GGUF files, each proved, and merged safetensors where asked for."""
    from workbench.pipeline.export.stage import export_stage

    preset, run = context.preset, context.run
    result = export_stage(
        trained_weights(context),
        run.tokenizer,
        run.export,
        name=run.name,
        formats=preset.export.formats,
        chat_template=chat_template(context),
        end_of_turn=base_facts(context)["end_of_turn"],
        merged=preset.export.merged,
        parity=preset.export.parity,
        samples=_samples(context),
        callbacks=_export_callbacks(context),
    )
    for warning in result.warnings:
        context.emit(events.Note(message=warning, level="warning"))
    return Outcome(result.artefacts, {"files": len(result.files)})


def package(context: Context) -> Outcome:
    """The Modelfile for the file that is served, and the model in Ollama where asked for."""
    from workbench.pipeline.packaging import create_in_ollama, write_modelfile

    preset, run = context.preset, context.run
    path, warnings = write_modelfile(preset, run, served(context), run_template(context))
    for warning in warnings:
        context.emit(events.Note(message=warning, level="warning"))
    command = create_in_ollama(preset, run, path)
    place = path.relative_to(run.path).as_posix()
    context.emit(events.Packaged(path=place, command=command))
    return Outcome([path])


def base_folder(context: Context) -> Path:
    """The base as `prepare` fetched it."""
    return Path(base_facts(context)["path"])


def base_facts(context: Context) -> dict[str, str]:
    """What `prepare` noted of the base: its name, its folder, the token that ends an answer."""
    facts: dict[str, str] = json.loads((context.run.path / "base.json").read_bytes())
    return facts


def weights_before(context: Context, number: int) -> Weights:
    """What training stage `number` starts from: the base, or what the stage before came to."""
    from workbench.pipeline.training.result import load

    if number == 0:
        return Weights(base_folder(context))
    before = context.preset.train[number - 1].name
    return load(context.run.training(before)).take(context.preset.train[number].start_from)


def trained_weights(context: Context) -> Weights:
    """What the last training stage came to."""
    from workbench.pipeline.training.result import load

    return load(context.run.training(context.preset.train[-1].name)).weights


def exported(run: RunFolder, format: str) -> Path:
    """The run's GGUF file of that type."""
    return run.export / f"{run.name}-{format}.gguf"


def served(context: Context) -> Path:
    """The file that the Modelfile serves and chat opens: the last of the preset's formats."""
    return exported(context.run, context.preset.export.formats[-1])


def chat_template(context: Context) -> str:
    """The Jinja source of the template that training used."""
    return (context.run.tokenizer / "chat_template.jinja").read_text(encoding="utf-8")


def _files_of(context: Context, weights: Weights) -> list[Path]:
    """The files inside the run that hold these weights."""
    folders = [path for path in (weights.base, *weights.adapters) if _inside(context, path)]
    return [path for folder in folders for path in sorted(folder.glob("*.safetensors"))]


def _inside(context: Context, path: Path) -> bool:
    return path.is_relative_to(context.run.path)


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
        text = template.render(row.messages)
        ids = backend.encode(text, add_special_tokens=False).ids
        samples.append(Sample(text, tuple(ids)))
    return samples


def run_template(context: Context) -> ChatTemplate:
    """The chat template with the special tokens of the run's tokenizer."""
    config = json.loads((context.run.tokenizer / "tokenizer_config.json").read_bytes())
    return ChatTemplate(
        chat_template(context), _text(config.get("bos_token")), _text(config.get("eos_token"))
    )


def _text(token: Any) -> str:
    """A special token's text; the file has it as text, as an object, or not at all."""
    return str(token["content"]) if isinstance(token, dict) else str(token or "")


def _export_callbacks(context: Context) -> Callbacks:
    from workbench.pipeline.export.stage import Callbacks

    def on_file(file: Any, elapsed_s: float) -> None:
        context.emit(
            events.FileExported(
                type=file.type,
                path=file.path.relative_to(context.run.path).as_posix(),
                bytes=file.bytes,
                fallbacks=file.fallbacks,
                elapsed_s=elapsed_s,
            )
        )

    def on_parity(parity: Any, verdict: Any) -> None:
        context.emit(
            events.ParityMeasured(
                type=parity.type,
                kl_mean=parity.kl_mean,
                kl_max=parity.kl_max,
                top1=parity.top1,
                ids_equal=parity.ids_equal,
                passed=verdict.passed,
            )
        )

    def on_tensor(done: Any) -> None:
        context.emit(
            events.Progress(done=done.done, total=done.total, unit="tensors", label=done.name)
        )

    def on_plan(plan: Any) -> None:
        for fallback in plan.fallbacks[:FALLBACKS_TOLD]:
            context.emit(events.Note(message=f"{fallback.type}: {fallback}", level="warning"))

    return Callbacks(
        on_plan=on_plan,
        on_tensor=on_tensor,
        on_file=on_file,
        on_parity=on_parity,
        stopping=context.stopping,
    )
