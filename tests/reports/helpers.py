"""Cases, reports and folders of evaluations, as the stage writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.pipeline.evaluation.metrics import compare, in_headline, model_figures
from workbench.pipeline.evaluation.report_writer import write_report
from workbench.pipeline.evaluation.result import (
    EvaluationResult,
    ModelResult,
    ReportHeader,
    verdict_of,
)
from workbench.reports.cases import Case
from workbench.reports.evaluation_report import GuardResult

SEED = 1


def case(index: int, passed: bool | None = True, **given: Any) -> Case:
    """A case whose prompt tells its number."""
    fields: dict[str, Any] = {
        "sample": 0,
        "place": f"data/held.jsonl:{index + 1}",
        "category": "seen",
        "prompt": f"prompt {index}",
        "expected": "an answer",
        "answer": f"answer {index}",
        "stopped": "stop",
        "n_tokens": 7,
        "passed": passed,
    }
    return Case(index=index, **fields | given)


def write(
    folder: Path,
    models: Mapping[str, Sequence[Case]],
    *,
    apart: Sequence[str] = (),
    guards: Sequence[GuardResult] = (),
    checker: str = "a checker {file}",
) -> EvaluationResult:
    """A report through the stage's own writer: `tuned` (or the last) against the first model."""
    results = {name: _model(name, cases, apart) for name, cases in models.items()}
    first = next(iter(models))
    subject = "tuned" if "tuned" in models else next(reversed(models))
    heads = {name: in_headline(model.cases, apart) for name, model in results.items()}
    passed, verdict = verdict_of(guards)
    result = EvaluationResult(
        subject=subject,
        reference=first,
        models=results,
        gains={n: compare(heads[n], heads[subject], SEED) for n in models if n != subject},
        guards=tuple(guards),
        passed=passed,
        verdict=verdict,
        report_markdown=folder / "report.md",
        report_json=folder / "report.json",
        about=ReportHeader(title="An evaluation", date="2026-11-21", checker=checker),
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_report(result)
    return result


def _model(name: str, cases: Sequence[Case], apart: Sequence[str]) -> ModelResult:
    asked = tuple(case for case in cases if not case.guard)
    guarded = tuple(case for case in cases if case.guard)
    return ModelResult(name, {"gguf": name}, asked, model_figures(asked, apart, SEED), guarded)
