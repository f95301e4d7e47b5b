"""Answers judged by the checker, the required words and the expected answer; and guards.

A guard compares an ability before and after tuning, on the same prompts: the score must not drop by
more than its limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from workbench.checkers.answer_text import extract, first_code_block, missing_words
from workbench.checkers.builtin import expected_for
from workbench.checkers.execution import check
from workbench.core.text import quantity
from workbench.dataset.rows import Row
from workbench.pipeline.evaluation.questions import Question, Reply
from workbench.reports.cases import Case
from workbench.reports.evaluation_report import GuardResult

CHECKS_AT_ONCE = 2


@dataclass(frozen=True)
class Checker:
    """A command that judges an answer; an empty command judges nothing."""

    command: tuple[str, ...] = ()
    suffix: str = ""
    extract: str = "code-block-or-all"
    timeout_s: float = 10.0


def judge(question: Question, reply: Reply, row: Row, checker: Checker) -> Case:
    """The case of one reply; runs the checker, if there is one. Never raises for a bad answer."""
    about = {
        "index": question.index,
        "sample": question.sample,
        "place": str(row.place),
        "category": row.category,
        "prompt": question.text,
        "expected": row.expected,
        "must_contain": row.must_contain,
        "earlier": question.earlier,
        "guard": question.guard,
        "labels": _labels(row),
    }
    if reply.problem:
        return Case(**about, problem=reply.problem)  # type: ignore[arg-type]
    code = extract(reply.text, checker.extract)
    if checker.extract == "code-block" and first_code_block(reply.text) is None:
        passed, says = (False, "no code block") if checker.command else (None, "")
    elif checker.command and not code.strip():  # an empty program compiles, and answers nothing
        passed, says = False, "the response is empty"
    else:
        passed, says = _checked(code, checker, question, row)
    return Case(
        **about,  # type: ignore[arg-type]
        answer=reply.text,
        stopped=reply.stopped,
        n_tokens=reply.n_tokens,
        elapsed_s=reply.elapsed_s,
        passed=passed,
        checker_says=says,
        missing=tuple(missing_words(code, row.must_contain)),
        exact=reply.text.strip() == row.expected.strip() if row.expected else None,
    )


def _labels(row: Row) -> tuple[tuple[str, str], ...]:
    difficulty = (("difficulty", row.difficulty),) if row.difficulty else ()
    return (*difficulty, *row.labels)


def _checked(code: str, checker: Checker, question: Question, row: Row) -> tuple[bool | None, str]:
    if not checker.command:
        return None, ""
    verdict = check(
        checker.command,
        code,
        suffix=checker.suffix,
        timeout_s=checker.timeout_s,
        prompt=question.text,
        expected=expected_for(checker.command, row.expected, checker.extract),
        must_contain=row.must_contain,
    )
    return verdict.passed, verdict.reason


def judge_all(
    questions: Sequence[Question],
    replies: Iterator[Reply],
    rows: Sequence[Row],
    checker: Checker,
    on_case: Callable[[Case], None] = lambda case: None,
) -> list[Case]:
    """Judge replies as they come, two checkers at a time beside the model that writes.

    `on_case` is called in this thread, as cases get ready. The cases come back in the order of the
    questions. An error among the replies is raised once the running checkers have ended.
    """
    by_key = {question.key: question for question in questions}
    waiting: list[Future[Case]] = []
    cases: dict[tuple[int, int], Case] = {}

    def collect(all_of_them: bool) -> None:
        while waiting and (all_of_them or waiting[0].done()):
            case = waiting.pop(0).result()
            cases[case.index, case.sample] = case
            on_case(case)

    pool = ThreadPoolExecutor(CHECKS_AT_ONCE, thread_name_prefix="checker")
    try:
        for reply in replies:
            question = by_key[reply.key]
            waiting.append(pool.submit(judge, question, reply, rows[question.index], checker))
            collect(all_of_them=False)
        collect(all_of_them=True)
    finally:
        pool.shutdown(cancel_futures=True)
    return [cases[question.key] for question in questions]


TOLERANCE = 1e-9  # 0.60 - 0.55 is a little more than 0.05 in binary


@dataclass(frozen=True)
class Guard:
    """Prompts of an ability, how to judge them, and how much of the passing share may be lost."""

    name: str
    rows: tuple[Row, ...]
    checker: Checker = Checker()
    max_drop: float = 0.05


def guard_result(guard: Guard, before: Sequence[Case], after: Sequence[Case]) -> GuardResult:
    """Whether the ability was kept. A guard that could not be measured is not kept."""
    first, second = _verdicts(before), _verdicts(after)
    shared = sorted(first.keys() & second.keys())
    if not shared:
        sentence = f"{guard.name}: not measured, counted as failed"
        return GuardResult(guard.name, 0.0, 0.0, guard.max_drop, 0, False, sentence)
    was = sum(first[key] for key in shared) / len(shared)
    now = sum(second[key] for key in shared) / len(shared)
    kept = was - now <= guard.max_drop + TOLERANCE
    verdict = "passed" if kept else "FAILED"
    sentence = (
        f"{guard.name}: {verdict}, {was:.0%} before, {now:.0%} after "
        f"on {quantity(len(shared), 'prompt')} (maximum drop {guard.max_drop:.0%})"
    )
    return GuardResult(guard.name, was, now, guard.max_drop, len(shared), kept, sentence)


def _verdicts(cases: Sequence[Case]) -> dict[tuple[int, int], bool]:
    found = {}
    for case in cases:
        if case.passes is not None:
            found[case.index, case.sample] = case.passes
    return found
