"""Which askings are to be seen, and in which order. Pure: the same evaluation gives the same list.

A few thousand askings are looked through at once; that costs less than drawing them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workbench.reports.cases import Case
from workbench.tui.panes.evaluate.model import Asked, Opened, Other

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
class Wanted:
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


def select(opened: Opened, other: Other | None, wanted: Wanted) -> list[Asked]:
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


def failing(opened: Opened, asked: Asked) -> bool:
    """Whether the model that is judged fails it."""
    return asked.verdict(opened.subject) == "failed"


def change(subject: str, other: Other | None, asked: Asked) -> str:
    """How the model's verdict has changed against the other run; "" without one."""
    case = asked.cases.get(subject)
    return other.against.changes.get(case.key, "") if other and case else ""


def _fitting(subject: str, other: Other | None, show: str) -> Callable[[Asked], bool]:
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


def _holds(asked: Asked, text: str) -> bool:
    first = asked.first
    if any(text in said.lower() for said in (first.prompt, first.expected, first.place)):
        return True
    return any(text in said.lower() for case in asked.cases.values() for said in _said(case))


def _said(case: Case) -> tuple[str, ...]:
    return case.answer, case.checker_says, case.problem
