import dataclasses
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.evaluation.helpers import row
from workbench.core.errors import Interrupted
from workbench.pipeline.evaluation.judging import Checker, judge, judge_all
from workbench.pipeline.evaluation.questions import Reply, questions_for
from workbench.reports.cases import Case

COMPILES = Checker((sys.executable, "-c", "import sys; sys.exit(len(open(sys.argv[1]).read()) > 5)",
                    "{file}"), ".txt", "all", 10.0)  # fmt: skip
ROWS = [row("a", "short", "x", ("sho",)), row("b", "", "y")]
QUESTIONS = questions_for(ROWS, 1, 1)


def reply(index: int, text: str) -> Reply:
    return Reply(index, 0, text, "stop", 2, 0.1)


def test_a_case_says_what_was_asked_and_what_was_found() -> None:
    case = judge(QUESTIONS[0], reply(0, "short"), ROWS[0], COMPILES)
    assert (case.passed, case.adheres, case.exact, case.category) == (True, True, True, "x")
    assert case.prompt == "a" and case.place == "data/held.jsonl:1"
    worse = judge(QUESTIONS[0], reply(0, "much longer"), ROWS[0], COMPILES)
    assert (worse.passed, worse.adheres, worse.exact) == (False, False, False)
    assert worse.missing == ("sho",)


def test_without_anything_to_judge_by_there_is_no_verdict() -> None:
    case = judge(QUESTIONS[1], reply(1, "text"), ROWS[1], Checker())
    assert (case.passed, case.adheres, case.exact, case.measured) == (None, None, None, True)


def test_a_built_in_checker_sees_the_row_s_own_answer_and_words() -> None:
    fenced = row("a", "So:\n```\nshort\n```", "x", ("sho",))
    for command, answer in [("exact", "```\nshort\n```"), ("contains", "shoes")]:
        checker = Checker((f"builtin:{command}",))
        assert judge(QUESTIONS[0], reply(0, answer), fenced, checker).passed is True
        assert judge(QUESTIONS[0], reply(0, "other"), fenced, checker).passed is False
    without = judge(QUESTIONS[1], reply(1, "x"), ROWS[1], Checker(("builtin:exact",)))
    assert (without.passed, without.checker_says) == (None, "the row has no expected response")


def test_an_answer_without_the_wanted_code_block_fails() -> None:
    wants_block = dataclasses.replace(COMPILES, extract="code-block")
    bare = judge(QUESTIONS[1], reply(1, "x"), ROWS[1], wants_block)
    assert (bare.passed, bare.checker_says) == (False, "no code block")
    assert judge(QUESTIONS[1], reply(1, "```\nx\n```"), ROWS[1], wants_block).passed


def test_an_empty_answer_passes_no_checker() -> None:
    case = judge(QUESTIONS[1], reply(1, "\n \n"), ROWS[1], COMPILES)
    assert (case.passed, case.checker_says) == (False, "the response is empty")
    assert judge(QUESTIONS[1], reply(1, ""), ROWS[1], Checker()).passed is None


def test_a_problem_is_no_verdict() -> None:
    case = judge(QUESTIONS[0], Reply(0, 0, problem="down"), ROWS[0], COMPILES)
    assert not case.measured and case.passed is None and case.adheres is None


def test_cases_come_in_order_and_are_told_in_this_thread() -> None:
    told: list[tuple[int, str]] = []

    def on_case(case: Case) -> None:
        told.append((case.index, threading.current_thread().name))

    replies = iter([reply(1, "b"), reply(0, "a")])
    cases = judge_all(QUESTIONS, replies, ROWS, COMPILES, on_case)
    assert [case.index for case in cases] == [0, 1]
    assert sorted(told) == [(0, "MainThread"), (1, "MainThread")]


def leaves_a_mark(folder: Path, then_sleeps_s: float = 0.0) -> Checker:
    """A checker that leaves a file in `folder`, so that a test sees that it ran."""
    code = "import sys, tempfile, time; tempfile.mkstemp(dir=sys.argv[1]); time.sleep("
    return Checker((sys.executable, "-c", f"{code}{then_sleeps_s})", str(folder), "{file}"))


def test_checkers_run_beside_the_model(tmp_path: Path) -> None:
    rows = [row(str(n)) for n in range(2)]

    def replies() -> Iterator[Reply]:
        yield reply(0, "x")
        give_up = time.monotonic() + 60
        while not list(tmp_path.iterdir()) and time.monotonic() < give_up:
            time.sleep(0.01)
        assert list(tmp_path.iterdir()), "the first answer was not checked before the second came"
        yield reply(1, "x")

    cases = judge_all(questions_for(rows, 1, 1), replies(), rows, leaves_a_mark(tmp_path))
    assert [case.passed for case in cases] == [True, True]


def test_an_interruption_does_not_wait_for_checkers_that_have_not_begun(tmp_path: Path) -> None:
    rows = [row(str(n)) for n in range(30)]

    def replies() -> Iterator[Reply]:
        yield from (reply(n, "x") for n in range(30))
        raise Interrupted("stopped")

    with pytest.raises(Interrupted):
        judge_all(questions_for(rows, 1, 1), replies(), rows, leaves_a_mark(tmp_path, 0.2))
    assert len(list(tmp_path.iterdir())) < 10
