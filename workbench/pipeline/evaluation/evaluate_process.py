"""Child process of `workbench evaluate`: asks models a file of prompts, judges, writes the report.

`python -m workbench.pipeline.evaluation.evaluate_process REQUEST`, a JSON object with the fields of `Request`. It tells
an object an answer, and at the end how it went; every answer is on disk before it is judged, so one
that is killed goes on where it stopped.

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
from workbench.core.subprocesses import end_with_parent, say
from workbench.dataset.duplicates import with_system
from workbench.dataset.sources import read_source, require
from workbench.inference.conversation import settings_of
from workbench.pipeline.evaluation.judging import Checker
from workbench.pipeline.evaluation.questions import Asking
from workbench.pipeline.evaluation.result import About
from workbench.pipeline.evaluation.stage import Plan, evaluate_stage
from workbench.preset.loader import load
from workbench.reports.cases import Case
from workbench.run.lock import Lock


@dataclass(frozen=True)
class Request:
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
    end_with_parent()
    request = Request(**json.loads(arguments[0]))
    try:
        evaluate(request)
    except WorkbenchError as error:
        say({"problem": str(error), "status": error.exit_status})
    except OSError as error:
        say({"problem": str(error), "status": EXIT_FAILED})
    else:
        say({"problem": "", "status": 0})


def evaluate(request: Request) -> None:
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


def plan_of(request: Request) -> Plan:
    """The prompts, asked as the run's preset says; by its defaults where there is none."""
    settings = settings_of(load(request.preset).preset if request.preset else None)
    rows = require(read_source(request.prompts, answers=False), request.prompts).rows
    checker = Checker(tuple(request.checker), request.suffix, request.extract, request.timeout_s)
    return Plan(
        rows=with_system(rows, settings.system),
        asking=Asking(settings.sampling, tuple(settings.stop), settings.context),
        checker=checker,
        samples=request.samples,
        limit=request.limit,
        seed=request.seed,
        perplexity=request.perplexity,
    )


def about_of(request: Request, subject: str) -> About:
    """What the report tells beside the figures."""
    return About(
        title=f"{subject} on {Path(request.prompts).name}",
        date=datetime.now(UTC).date().isoformat(),
        checker=" ".join(request.checker),
    )


def _tell(model: str, done: int, total: int, case: Case) -> None:
    say({"model": model, "done": done, "total": total, "passed": case.passes})


def _tell_weighed(model: str, done: int, total: int) -> None:
    say({"model": model, "weighed": done, "total": total})


if __name__ == "__main__":
    main(sys.argv[1:])
