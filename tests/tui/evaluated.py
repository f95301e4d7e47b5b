"""Runs that were evaluated, and one that is being: answers in Blop, a guard, categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.reports.helpers import case, write
from tests.run.helpers import make_run
from workbench.reports.cases import Case
from workbench.reports.evaluation_report import GuardResult
from workbench.run import events
from workbench.run.folder import RunFolder, runs_root
from workbench.run.log import EventLog

HOSTILE = "\x1b]0;owned\x07[bold red]x[/] \u202e"
MODELS = ("base", "tuned", "tuned q4_k_m")
THINGS = ("loan", "ticket", "recipe", "parcel", "invoice")
FIELDS = ("name", "status", "owner")
GUARD = GuardResult(
    "python",
    0.60,
    0.55,
    0.05,
    20,
    True,
    "python: passed, 60% before, 55% after on 20 prompts (maximum drop 5%)",
)


def answer(thing: str, field: str) -> str:
    return (
        f"def {thing.title()}Card(attributes) {{\n  <div class='card'>\n"
        f"    <h2>{{attributes.{thing}.{field}}}</h2>\n  </div>\n}}"
    )


def asked(model: str, prompts: int = 30, failing: Sequence[int] = ()) -> list[Case]:
    """What a model answered: the base never rightly, the others but for those `failing`."""
    return [_asked(model, number, number in failing) for number in range(prompts)]


def _asked(model: str, number: int, fails: bool) -> Case:
    thing, field = THINGS[number % 5], FIELDS[number % 3]
    right = answer(thing, field)
    fails = fails or model == "base"
    said = f"Here is your component for a {thing}:\n\n<{thing} />" if model == "base" else right
    if fails and model != "base":
        said = right.replace("attributes", "attribute") + f"\n{HOSTILE}"
    words = (thing.title(), field)
    return case(
        number,
        not fails,
        category=("seen", "fresh words", "invented")[number % 3],
        prompt=f"Please write a component that shows the {field} of a {thing}, number {number}.",
        expected=right,
        answer=said,
        stopped="length" if model == "base" else "stop",
        n_tokens=64 if model == "base" else 41,
        checker_says="" if not fails else "line 1: expected 'def', found '<'"[: 40 - number % 3],
        must_contain=words,
        missing=tuple(word for word in words if word not in said),
        exact=not fails,
    )


def guarded(model: str) -> list[Case]:
    return [
        case(n, n % 5 < 3, guard="python", category="", prompt=f"Write python {n}", expected="")
        for n in range(20)
    ]


def report(folder: Path, failing: Mapping[str, Sequence[int]], prompts: int = 30) -> None:
    models = {name: asked(name, prompts, failing.get(name, ())) + guarded(name) for name in MODELS}
    write(folder, models, apart=["invented"], guards=[GUARD], checker="blop check {file}")


def evaluated_run(name: str = "tuned-twice", failing: Sequence[int] = (3, 7, 8)) -> RunFolder:
    """A run whose evaluation is done."""
    run = make_run(runs_root(), name)
    log = EventLog(run.events_file)
    log.append(events.RunStarted(pid=1, host="h", version="0", stages=["evaluate"]))
    log.append(events.StageStarted(title="Evaluate"), "evaluate")
    for model in MODELS:
        for number, one in enumerate(asked(model)):
            log.append(answered(one, model, number + 1, 30), "evaluate")
    log.append(events.StageDone(elapsed_s=60.0, inputs="x"), "evaluate")
    log.append(events.RunDone(elapsed_s=60.0))
    log.close()
    report(run.evaluation, {"tuned": failing, "tuned q4_k_m": (*failing, 11)})
    return run


def answered(one: Case, model: str, done: int, total: int) -> events.Answered:
    return events.Answered(
        model=model,
        done=done,
        total=total,
        prompt=one.prompt,
        answer=one.answer,
        passed=one.passes,
        category=one.category,
        guard=one.guard,
        checker_says=one.checker_says,
        problem=one.problem,
    )
