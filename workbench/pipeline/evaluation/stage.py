"""The evaluation stage: ask every model the same prompts, judge, compare, report.

A function of plain values: it knows no preset, no run and no event. Models are opened by their
names in a preset. Every answer is on disk before it is judged, so an interrupted evaluation
continues where it stopped, and a second run asks an unchanged model nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from workbench.checkers.execution import find_program
from workbench.core.errors import UserError
from workbench.dataset.rows import Row
from workbench.pipeline.evaluation.answer_store import (
    answer_all,
    expected_of,
    score_expected_answers,
    with_expected_losses,
)
from workbench.pipeline.evaluation.gguf_answerer import GgufAnswerer
from workbench.pipeline.evaluation.http_endpoint import ollama_answerer, openai_answerer
from workbench.pipeline.evaluation.judging import Checker, Guard, guard_result, judge_all
from workbench.pipeline.evaluation.metrics import compare, in_headline, model_figures
from workbench.pipeline.evaluation.questions import (
    Answerer,
    GenerationSettings,
    choose,
    questions_for,
)
from workbench.pipeline.evaluation.report_writer import write_report
from workbench.pipeline.evaluation.result import (
    EvaluationResult,
    ModelResult,
    ReportHeader,
    headline,
    slug,
    verdict_of,
)
from workbench.reports.cases import Case
from workbench.reports.evaluation_changes import EarlierEvaluation, changes_since
from workbench.reports.evaluation_report import GuardResult

OLLAMA, OPENAI = "ollama:", "openai:"


def is_endpoint(spec: str) -> bool:
    """Whether `spec` names a server (`ollama:NAME`, `openai:URL#MODEL`) rather than a file."""
    return spec.startswith((OLLAMA, OPENAI))


def open_answerer(
    spec: Path | str,
    asking: GenerationSettings,
    *,
    environment: Mapping[str, str],
    threads: int | None = None,
    log_file: Path | None = None,
) -> Answerer:
    """The model that `spec` names: a GGUF's path, `ollama:NAME` or `openai:URL#MODEL`.

    A path that comes as a text is a file that no run of ours vouches for: a child opens it first.
    Nothing is loaded or connected yet. Raises UserError for a missing file or a wrong URL.
    """
    word = str(spec)
    if word.startswith(OLLAMA):
        return ollama_answerer(word.removeprefix(OLLAMA), asking, environment)
    if word.startswith(OPENAI):
        url, _, model = word.removeprefix(OPENAI).partition("#")
        if not model:
            raise UserError(
                f"'{word}' does not name a model", hint="use openai:https://HOST/v1#MODEL"
            )
        return openai_answerer(url, model, asking, environment)
    stranger = isinstance(spec, str)
    return GgufAnswerer(Path(spec), asking, threads=threads, log_file=log_file, stranger=stranger)


OnAnswer = Callable[[str, int, int, Case], None]  # model, done, total, case
OnWeighed = Callable[[str, int, int], None]  # model, done, total
OnResult = Callable[[str, dict[str, Any]], None]  # model, headline figures


NOTHING_MORE = ReportHeader()


@dataclass(frozen=True)
class EvaluationPlan:
    """What is asked of every model, and how the answers are judged.

    `limit` 0 asks all rows; `apart` names categories left out of the headline; `samples` are the
    answers a prompt. With `perplexity` the expected answers are weighed.
    """

    rows: Sequence[Row]
    asking: GenerationSettings
    checker: Checker = Checker()
    samples: int = 1
    limit: int = 0
    seed: int = 42
    apart: Collection[str] = ()
    guards: Sequence[Guard] = ()
    perplexity: bool = True


def evaluate_stage(
    models: Mapping[str, Path | str],
    plan: EvaluationPlan,
    out: Path,
    *,
    subject: str,
    reference: str,
    about: ReportHeader = NOTHING_MORE,
    earlier: Iterable[EarlierEvaluation] = (),
    environment: Mapping[str, str] | None = None,
    threads: int | None = None,
    log_file: Path | None = None,
    on_answer: OnAnswer = lambda model, done, total, case: None,
    on_weighed: OnWeighed = lambda model, done, total: None,
    on_result: OnResult = lambda model, figures: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> EvaluationResult:
    """Ask `models` (name -> GGUF path, `ollama:NAME` or `openai:URL#MODEL`) and write the report.

    Guards compare `subject` with `reference`; of `earlier` evaluations the first that shares a
    prompt is told against. Raises UserError before any model is loaded when a checker is not
    installed or a file is missing, and when `subject` cannot be opened (another model is then not
    measured); Interrupted when `should_stop` says so.
    """
    _check_plan(plan, models, subject)
    rows = choose(plan.rows, plan.limit, plan.seed)
    secrets = environment or {}
    asked = {
        name: open_answerer(
            spec, plan.asking, environment=secrets, threads=threads, log_file=log_file
        )
        for name, spec in models.items()
    }
    results: dict[str, ModelResult] = {}
    guarded: dict[str, list[list[Case]]] = {}
    for name, answerer in asked.items():
        guards = plan.guards if name in (subject, reference) else ()
        with closing(answerer):
            progress = _Progress(name, _total(plan, rows, guards), on_answer)
            job = _Job(name, answerer, plan, out, should_stop, progress)
            cases = job.ask("answers", rows, plan.checker, plan.samples)
            if name == subject and answerer.trouble:
                raise answerer.trouble
            if plan.perplexity:
                cases = job.weigh(rows, cases, partial(on_weighed, name))
            figures = model_figures(cases, plan.apart, plan.seed)
            guarded[name] = [job.ask_guard(guard) for guard in guards]
            results[name] = ModelResult(
                name,
                answerer.identity,
                tuple(cases),
                figures,
                tuple(case for asked in guarded[name] for case in asked),
            )
        on_result(name, headline(figures.headline))
    result = _result(plan, results, guarded, out, subject, reference, about)
    asked_now = (*results[subject].cases, *results[subject].guarded)
    result = replace(result, since=changes_since(subject, asked_now, plan.apart, earlier))
    write_report(result)
    return result


@dataclass
class _Progress:
    """Counts the cases of one model, its guards included."""

    model: str
    total: int
    on_answer: OnAnswer
    done: int = 0

    def case(self, case: Case) -> None:
        self.done += 1
        self.on_answer(self.model, self.done, self.total, case)


@dataclass(frozen=True)
class _Job:
    """One model and all that asking it needs."""

    name: str
    answerer: Answerer
    plan: EvaluationPlan
    out: Path
    should_stop: Callable[[], bool]
    progress: _Progress

    def ask(
        self, what: str, rows: Sequence[Row], checker: Checker, samples: int = 1, guard: str = ""
    ) -> list[Case]:
        questions = questions_for(rows, samples, self.plan.seed, guard)
        path = self.out / what / f"{slug(self.name)}.jsonl"
        replies = answer_all(self.answerer, questions, self.plan.asking, path, self.should_stop)
        return judge_all(questions, replies, rows, checker, self.progress.case)

    def weigh(
        self, rows: Sequence[Row], cases: list[Case], on_weighed: Callable[[int, int], None]
    ) -> list[Case]:
        path = self.out / "weighed" / f"{slug(self.name)}.jsonl"
        expected, context = expected_of(rows), self.plan.asking.context
        found = score_expected_answers(
            self.answerer, expected, context, path, on_weighed, self.should_stop
        )
        return with_expected_losses(cases, found)

    def ask_guard(self, guard: Guard) -> list[Case]:
        what = f"guard-{slug(guard.name)}"
        return self.ask(what, guard.rows, guard.checker, guard=guard.name)


def _result(
    plan: EvaluationPlan,
    models: dict[str, ModelResult],
    guarded: Mapping[str, list[list[Case]]],
    out: Path,
    subject: str,
    reference: str,
    about: ReportHeader,
) -> EvaluationResult:
    guards = _guard_results(plan.guards, guarded.get(reference), guarded[subject])
    passed, verdict = verdict_of(guards)
    headlines = {name: in_headline(model.cases, plan.apart) for name, model in models.items()}
    after = headlines.pop(subject)
    return EvaluationResult(
        subject=subject,
        reference=reference,
        models=models,
        gains={name: compare(cases, after, plan.seed) for name, cases in headlines.items()},
        guards=tuple(guards),
        passed=passed,
        verdict=verdict,
        report_markdown=out / "report.md",
        report_json=out / "report.json",
        about=about,
    )


def _guard_results(
    guards: Sequence[Guard], before: list[list[Case]] | None, after: list[list[Case]]
) -> list[GuardResult]:
    firsts = before if before is not None else [[] for _ in guards]
    return [guard_result(g, *pair) for g, *pair in zip(guards, firsts, after, strict=True)]


def _check_plan(plan: EvaluationPlan, models: Mapping[str, Path | str], subject: str) -> None:
    if subject not in models:
        raise UserError(f"the model '{subject}' is not being evaluated")
    if not plan.rows:
        raise UserError("there are no prompts to evaluate on", hint="set evaluate.prompts")
    for checker in (plan.checker, *(guard.checker for guard in plan.guards)):
        if checker.command:
            find_program(checker.command)


def _total(plan: EvaluationPlan, rows: Sequence[Row], guards: Sequence[Guard]) -> int:
    return len(rows) * plan.samples + sum(len(guard.rows) for guard in guards)
