"""The prompts of an evaluation, each with the cases of all models; filtered and sorted.

The cases come from the report once the stage is done, before that from the log's events. Pure: the
same evaluation gives the same list. A few thousand prompts are searched at once; that costs less
than drawing them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from workbench.reports.cases import Case, Key, Verdict
from workbench.reports.evaluation_changes import EvaluationChanges, compare_cases
from workbench.reports.evaluation_report import Report, read_report
from workbench.run.events import Answered
from workbench.run.folder import RunFolder

NO_CATEGORY = "(none)"


@dataclass(frozen=True)
class PromptCases:
    """One asking of a prompt; `cases` by the model's name, at least one."""

    cases: dict[str, Case]

    @property
    def first(self) -> Case:
        """A case to take the prompt and all that is no model's own from."""
        return next(iter(self.cases.values()))

    @property
    def group(self) -> str:
        """The category, or the guard that asked."""
        return f"guard {self.first.guard}" if self.first.guard else category(self.first.category)

    @property
    def differs(self) -> bool:
        """Whether one model passes it and another fails it."""
        return len({case.passes for case in self.cases.values()} - {None}) > 1

    def verdict(self, model: str) -> Verdict | None:
        """How the model fared; None when it was not asked (yet)."""
        case = self.cases.get(model)
        return case.verdict if case else None


@dataclass
class Evaluation:
    """`subject` is the model that is judged; `report` is None while the stage is at work."""

    run: RunFolder
    models: list[str]
    subject: str
    asked: list[PromptCases]
    report: Report | None = None

    @property
    def groups(self) -> Counter[str]:
        """How many askings each category and each guard has, in the order of asking."""
        return Counter(one.group for one in self.asked)

    def cases(self, model: str) -> list[Case]:
        """All cases of a model, in the order of asking."""
        return [one.cases[model] for one in self.asked if model in one.cases]


def category(name: str) -> str:
    """A category's name, of the one without a name as well."""
    return name or NO_CATEGORY


def open_report(run: RunFolder) -> Evaluation:
    """The evaluation of a run that is done. Takes its time; raises UserError."""
    report = read_report(run.evaluation)
    asked: dict[Key, PromptCases] = {}
    for name, model in report.models.items():
        for case in model.read_cases():
            asked.setdefault(case.key, PromptCases({})).cases[name] = case
    models = list(report.models)
    return Evaluation(run, models, report.subject, list(asked.values()), report)


@dataclass(frozen=True)
class OtherEvaluation:
    """Another run's evaluation to compare with: the model of the same name, or its subject."""

    opened: Evaluation
    model: str
    against: EvaluationChanges

    @property
    def name(self) -> str:
        return f"{self.opened.run.name} {self.model}"


def compare(now: Evaluation, before: Evaluation) -> OtherEvaluation:
    """The subject's cases against those of the other run."""
    model = now.subject if now.subject in before.models else before.subject
    apart = now.report.models[now.subject].apart if now.report else ()
    found = compare_cases(now.cases(now.subject), before.cases(model), apart)
    return OtherEvaluation(before, model, found)


@dataclass
class LiveEvaluation:
    """Folds `answered` events into an `Evaluation` that grows; feed it every event once."""

    run: RunFolder
    taken: int = 0
    totals: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.opened = Evaluation(self.run, [], "", [])
        self._places: dict[tuple[str, str, int], PromptCases] = {}
        self._times: Counter[tuple[str, str, str]] = Counter()

    def take(self, answered: Sequence[Answered]) -> None:
        """Take in what is new in the list of all events so far."""
        for event in answered[self.taken :]:
            self._take(event)
        self.taken = len(answered)

    def _take(self, event: Answered) -> None:
        if event.model not in self.opened.models:
            self.opened.models.append(event.model)
            self.opened.subject = event.model
        self.totals[event.model] = event.total
        said = (event.model, event.guard, event.prompt)
        place = (event.guard, event.prompt, self._times[said])
        self._times[said] += 1
        asked = self._places.get(place)
        if asked is None:
            asked = self._places[place] = PromptCases({})
            self.opened.asked.append(asked)
        number = len(self.opened.asked) - 1 if not asked.cases else asked.first.index
        asked.cases[event.model] = Case(
            index=number,
            sample=0,
            place="",
            category=event.category,
            prompt=event.prompt,
            expected="",
            answer=event.answer,
            passed=event.passed,
            checker_says=event.checker_says,
            problem=event.problem,
            guard=event.guard,
        )


SHOWS = {
    "all": "all prompts",
    "failed": "the model fails it",
    "passed": "the model passes it",
    "differs": "the models' verdicts differ",
    "not measured": "no response was obtained",
    "newly failing": "passed in the other run, fails now",
    "newly passing": "failed in the other run, passes now",
}
NEEDS_OTHER = ("newly failing", "newly passing")
ORDERS = ("original order", "failing first", "by category")


@dataclass(frozen=True)
class CaseFilter:
    """`group` is a category or a guard, "" for all; `text` stands in a prompt or an answer."""

    show: str = "all"
    group: str = ""
    text: str = ""
    order: str = ORDERS[0]

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return self.show == "all" and not self.group and not self.text

    def told(self) -> str:
        """What is wanted, in words; "" for everything."""
        parts = [self.show if self.show != "all" else "", self.group]
        parts.append(f"with '{self.text}'" if self.text else "")
        return ", ".join(part for part in parts if part)


def select(
    opened: Evaluation, other: OtherEvaluation | None, wanted: CaseFilter
) -> list[PromptCases]:
    """The askings that are wanted, in the wanted order."""
    fits = _fitting(opened.subject, other, wanted.show)
    text = wanted.text.lower()
    found = [
        one
        for one in opened.asked
        if (not wanted.group or one.group == wanted.group)
        and fits(one)
        and (not text or _holds(one, text))
    ]
    if wanted.order == "failing first":
        found.sort(key=lambda one: one.verdict(opened.subject) != "failed")
    elif wanted.order == "by category":
        found.sort(key=lambda one: one.group)
    return found


def failing(opened: Evaluation, asked: PromptCases) -> bool:
    """Whether the model that is judged fails it."""
    return asked.verdict(opened.subject) == "failed"


def change(subject: str, other: OtherEvaluation | None, asked: PromptCases) -> str:
    """How the model's verdict has changed against the other run; "" without one."""
    case = asked.cases.get(subject)
    return other.against.changes.get(case.key, "") if other and case else ""


def _fitting(
    subject: str, other: OtherEvaluation | None, show: str
) -> Callable[[PromptCases], bool]:
    match show:
        case "failed" | "passed":
            return lambda one: one.verdict(subject) == show
        case "differs":
            return lambda one: one.differs
        case "not measured":
            return lambda one: any(case.verdict == "unmeasured" for case in one.cases.values())
        case "newly failing" | "newly passing":
            return lambda one: change(subject, other, one) == show
    return lambda one: True


def _holds(asked: PromptCases, text: str) -> bool:
    first = asked.first
    if any(text in said.lower() for said in (first.prompt, first.expected, first.place)):
        return True
    return any(text in said.lower() for case in asked.cases.values() for said in _said(case))


def _said(case: Case) -> tuple[str, ...]:
    return case.answer, case.checker_says, case.problem
