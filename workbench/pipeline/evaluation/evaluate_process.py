"""Child process of `workbench evaluate`: asks models a file of prompts, judges, writes the report.

`python -m workbench.pipeline.evaluation.evaluate_process REQUEST`, a JSON object with the fields
of `EvaluationRequest`. It prints an object for each answer, and at the end how it went; every
answer is on disk before it is judged, so one that is killed goes on where it stopped.

    {"model": "tuned", "done": 3, "total": 38, "passed": true}
    {"model": "tuned", "weighed": 3, "total": 38}
    {"problem": "", "status": 0}
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from workbench.core.errors import EXIT_FAILED, UserError, WorkbenchError
from workbench.core.subprocesses import exit_with_parent, send_message
from workbench.dataset.duplicates import with_system
from workbench.dataset.sources import read_source, require
from workbench.inference.conversation import generation_settings
from workbench.pipeline.evaluation.judging import Checker
from workbench.pipeline.evaluation.questions import GenerationSettings
from workbench.pipeline.evaluation.result import ReportHeader
from workbench.pipeline.evaluation.stage import EvaluationPlan, evaluate_stage
from workbench.preset.loader import load
from workbench.reports.cases import Case
from workbench.run.lock import Lock


@dataclass(frozen=True)
class EvaluationRequest:
    """What is asked of whom. The first of `models` (name -> file or endpoint) is to be judged.

    `preset` is the file of the run's preset, `""` for a model without a run; times in seconds.
    """

    models: dict[str, str]
    prompts: str
    out: str
    preset: str
    checker: list[str]
    suffix: str
    extract: str
    timeout_s: float
    samples: int
    limit: int
    seed: int
    perplexity: bool


def main(arguments: list[str]) -> None:
    exit_with_parent("pipe")
    request = EvaluationRequest(**json.loads(arguments[0]))
    try:
        evaluate(request)
    except WorkbenchError as error:
        send_message(problem=str(error), status=error.exit_status)
    except OSError as error:
        send_message(problem=str(error), status=EXIT_FAILED)
    else:
        send_message(problem="", status=0)


def evaluate(request: EvaluationRequest) -> None:
    """Ask, judge and write. Raises UserError for faults of the prompts, the models, the checker."""
    plan, out = plan_of(request), Path(request.out)
    out.mkdir(parents=True, exist_ok=True)
    lock = _locked(out)
    try:
        subject, *others = request.models
        evaluate_stage(
            request.models,
            plan,
            out,
            subject=subject,
            reference=(others or [subject])[0],
            about=about_of(request, subject),
            environment=dict(os.environ),
            log_file=out / "llama.log",
            on_answer=_tell,
            on_weighed=_tell_weighed,
        )
    finally:
        lock.release()


def _locked(out: Path) -> Lock:
    try:
        return Lock(out / "lock")
    except UserError:
        hint = "wait for it, or choose another --output"
        raise UserError(
            "another evaluation is writing to this folder", path=out, hint=hint
        ) from None


def plan_of(request: EvaluationRequest) -> EvaluationPlan:
    """The prompts, asked as the run's preset says; by its defaults where there is none."""
    settings = generation_settings(load(request.preset).preset if request.preset else None)
    rows = require(read_source(request.prompts, answers=False), request.prompts).rows
    checker = Checker(tuple(request.checker), request.suffix, request.extract, request.timeout_s)
    return EvaluationPlan(
        rows=with_system(rows, settings.system),
        asking=GenerationSettings(settings.sampling, tuple(settings.stop), settings.context),
        checker=checker,
        samples=request.samples,
        limit=request.limit,
        seed=request.seed,
        perplexity=request.perplexity,
    )


def about_of(request: EvaluationRequest, subject: str) -> ReportHeader:
    """What the report tells beside the figures."""
    return ReportHeader(
        title=f"{subject} on {Path(request.prompts).name}",
        date=datetime.now(UTC).date().isoformat(),
        checker=" ".join(request.checker),
    )


def _tell(model: str, done: int, total: int, case: Case) -> None:
    send_message(model=model, done=done, total=total, passed=case.passes)


def _tell_weighed(model: str, done: int, total: int) -> None:
    send_message(model=model, weighed=done, total=total)


if __name__ == "__main__":
    main(sys.argv[1:])
