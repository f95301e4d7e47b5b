"""The wiring of the evaluation: which models are asked what, by the run's preset."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from workbench.checkers.execution import find_program
from workbench.core.errors import UserError
from workbench.core.runtime import usable_cores
from workbench.core.text import quantity
from workbench.dataset.sources import read_source, require
from workbench.inference.conversation import sampling_params
from workbench.pipeline.artifacts import (
    base_folder,
    base_info,
    chat_template,
    converter_of,
    exported,
    run_template,
    served_gguf_path,
)
from workbench.pipeline.context import Context, StageOutcome
from workbench.pipeline.evaluation.judging import Checker, Guard
from workbench.pipeline.evaluation.questions import GenerationSettings
from workbench.pipeline.evaluation.result import ReportHeader
from workbench.pipeline.evaluation.stage import EvaluationPlan, evaluate_stage
from workbench.pipeline.export.converted import base_gguf
from workbench.pipeline.export.plan import plan_export
from workbench.pipeline.export.streaming import run_export
from workbench.pipeline.models import weights as results
from workbench.pipeline.models.base_model import save_tokenizer
from workbench.pipeline.models.tokenizer_loading import load_tokenizer
from workbench.pipeline.models.weights import Weights
from workbench.pipeline.prepare.stage import load_rows
from workbench.preset.schema import Evaluate
from workbench.preset.schema import Guard as GuardSettings
from workbench.reports.cases import Case
from workbench.reports.evaluation_changes import earlier_evaluations
from workbench.run import events, folder
from workbench.run.model_files import served_gguf

TUNED = "tuned"
TELL_EVERY = 10  # expected answers


def evaluate(context: Context) -> StageOutcome:
    """The held-out prompts, answered by the baselines and by the run's own files."""
    models = models_of(context)
    if missing := missing_checker(context.preset.evaluate):
        context.emit(events.Note(message=missing, level="warning"))
    reference = next((name for name in models if not name.startswith(TUNED)), TUNED)

    def on_answer(model: str, done: int, total: int, case: Case) -> None:
        context.emit(
            events.Answered(
                model=model,
                done=done,
                total=total,
                prompt=case.prompt,
                answer=case.answer,
                passed=case.passes,
                category=case.category,
                guard=case.guard,
                checker_says=case.checker_says,
                problem=case.problem,
            )
        )

    def on_weighed(model: str, done: int, total: int) -> None:
        if done == total or done % TELL_EVERY == 0:
            label = f"perplexity of {model}"
            context.emit(events.Progress(done=done, total=total, unit="responses", label=label))

    result = evaluate_stage(
        models,
        plan_of(context),
        context.run.evaluation,
        subject=TUNED,
        reference=reference,
        about=report_header(context),
        earlier=earlier_evaluations(context.run),
        environment=dict(os.environ),
        on_answer=on_answer,
        on_weighed=on_weighed,
        on_result=lambda name, figures: context.emit(events.Evaluated(model=name, figures=figures)),
        should_stop=context.should_stop,
    )
    if result.since:
        change = f"compared with {result.since.name}: {result.since.against.sentence}"
        context.emit(events.Note(message=change))
    if result.guards:
        level = "info" if result.passed else "warning"
        context.emit(events.Note(message=result.verdict, level=level))
    return StageOutcome(result.files, {"passed": result.passed})


def plan_of(context: Context) -> EvaluationPlan:
    """What is asked, how answers are drawn and judged."""
    settings, generate = context.preset.evaluate, context.preset.generate
    return EvaluationPlan(
        rows=load_rows(context.run.dataset / "heldout.jsonl"),
        asking=GenerationSettings(
            sampling_params(generate), tuple(generate.stop), generate.context
        ),
        checker=Checker(
            () if missing_checker(settings) else tuple(settings.checker),
            settings.checker_suffix,
            settings.extract,
            settings.timeout,
        ),
        samples=settings.samples,
        limit=settings.limit,
        seed=settings.seed,
        apart=settings.apart,
        guards=[_guard(guard, settings.timeout) for guard in settings.guard],
        perplexity=settings.perplexity,
    )


def missing_checker(settings: Evaluate) -> str:
    """Why the checker gives no verdict although the preset names one; `""` where it does.

    Raises UserError when it is not installed and the preset cannot do without it.
    """
    if not settings.checker:
        return ""
    try:
        find_program(settings.checker)
    except UserError as error:
        if settings.checker_required:
            raise
        return f"{error.message}: the pass rate was not measured"
    return ""


def models_of(context: Context) -> dict[str, Path | str]:
    """Name -> file or endpoint: the baselines, then the run's first and served files."""
    models: dict[str, Path | str] = {}
    for baseline in context.preset.evaluate.baselines:
        models[baseline] = _baseline(context, baseline)
    formats = context.preset.export.formats
    models[TUNED] = exported(context.run, formats[0])
    if len(formats) > 1:
        models[f"{TUNED} {formats[-1]}"] = served_gguf_path(context)
    return models


def report_header(context: Context) -> ReportHeader:
    """What the report tells beside the figures."""
    run, missing = context.run, missing_checker(context.preset.evaluate)
    return ReportHeader(
        title=f"Evaluation of {run.name}",
        date=datetime.now(UTC).date().isoformat(),
        checker="" if missing else " ".join(context.preset.evaluate.checker),
        notes=[*([missing] if missing else []), *data_notes(context)],
        training=training_notes(context),
        files=[f"export/{path.name}" for path in sorted(run.export.glob("*.gguf"))],
        next_steps=[f"workbench chat {run.name}"],
    )


def training_notes(context: Context) -> list[str]:
    """What each training stage came to: its best loss, and what became of the general text."""
    notes = []
    for stage in context.preset.train:
        result = results.load(context.run.training(stage.name))
        parts = [f"{stage.name}: {quantity(result.steps, 'step')}"]
        if result.best_loss is not None:
            parts.append(
                f"best validation loss {result.best_loss:.3f} at step {result.best_step:,}"
            )
        if len(result.general) == 2:
            before, after = result.general
            change = f"{before:.3f} before, {after:.3f} after ({after - before:+.3f})"
            parts.append(f"general-text loss {change}, in nats per token")
        notes.append("; ".join(parts))
    return notes


def data_notes(context: Context) -> list[str]:
    """What became of rows that were not trained, one sentence each."""
    report = json.loads((context.run.dataset / "report.json").read_bytes())
    left_out = {
        "duplicates": ("duplicate row", "removed"),
        "leaks": ("row", "with a held-out prompt removed from training"),
        "faults": ("finding", "in the data, listed in dataset/report.json"),
    }
    notes = [
        f"{quantity(len(report[key]), noun)} {what}"
        for key, (noun, what) in left_out.items()
        if report[key]
    ]
    for stage, splits in report["stages"].items():
        for split, ledger in splits.items():
            notes += [f"{stage}, {split}: {line}" for line in ledger["notes"]]
    return notes


def _guard(guard: GuardSettings, timeout_s: float) -> Guard:
    rows = require(read_source(guard.prompts, answers=False), guard.prompts).rows
    checker = Checker(tuple(guard.checker), guard.checker_suffix, timeout_s=timeout_s)
    return Guard(guard.name, tuple(rows), checker, guard.max_drop)


def _baseline(context: Context, name: str) -> Path | str:
    """The base's own file, another run's served file, or the word as it is."""
    if name == "base":
        return _base_gguf(context)
    if ":" in name or name.endswith(".gguf"):
        return name
    return served_gguf(folder.find(context.run.path.parent, name))


def _base_gguf(context: Context) -> Path:
    """The base before tuning, in the run's first format; written once."""
    format = context.preset.export.formats[0]
    path = context.run.evaluation / f"base-{format}.gguf"
    if path.exists():
        return path
    if converter := converter_of(context):
        base, tokenizer = base_folder(context), _base_tokenizer(context)
        base_gguf(base, tokenizer, path, format, converter, usable_cores())
    else:
        plan = plan_export(
            Weights(base_folder(context)),
            [format],
            _base_tokenizer(context),
            chat_template=chat_template(context),
            end_of_turn=base_info(context)["end_of_turn"],
            name="base",
        )
        run_export(plan, {format: path}, should_stop=context.should_stop)
    return path


def _base_tokenizer(context: Context) -> Path:
    """The run's tokenizer; where it has added tokens the base's own, which knows none of them."""
    if not context.preset.model.added_tokens:
        return context.run.tokenizer
    folder = context.run.evaluation / "base-tokenizer"
    if not folder.is_dir():
        own = load_tokenizer(base_folder(context))
        save_tokenizer(own, run_template(context).by_name, folder)
    return folder
