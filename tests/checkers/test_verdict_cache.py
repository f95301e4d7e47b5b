"""Verdicts are remembered, and only where they would be the same again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from workbench.checkers.execution import CheckItem, Limits
from workbench.checkers.verdict_cache import VerdictCache
from workbench.core.errors import UserError

# Passes what holds "good"; writes down that it was asked.
PROGRAM = """
import sys, time
text = open(sys.argv[1]).read()
open({log!r}, "a").write(text + "\\n")
if "slow" in text:
    time.sleep(30)
print("not good", file=sys.stderr)
sys.exit("good" not in text)
"""


class Asked:
    """A checker program that says how often it was run."""

    def __init__(self, folder: Path) -> None:
        self.log, self.program = folder / "log", folder / "checker.py"
        self.program.write_text(PROGRAM.format(log=str(self.log)))
        self.log.touch()
        command = (sys.executable, str(self.program), "{file}")
        self.checker = VerdictCache(command, ".txt", Limits(timeout_s=20), folder / "verdicts")

    def judge(self, *answers: str) -> list[bool]:
        return [v.passed for v in self.checker.judge(map(CheckItem, answers), workers=2)]

    @property
    def times(self) -> int:
        return len(self.log.read_text().splitlines())


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    return Asked(tmp_path)


def test_nothing_is_judged_twice(asked: Asked) -> None:
    assert asked.judge("good", "bad", "good") == [True, False, True]
    assert asked.times == 2
    assert asked.judge("bad", "good", "new good") == [False, True, True]
    assert asked.times == 3
    (verdict,) = asked.checker.judge([CheckItem("bad")], workers=1)
    assert verdict.reason == "not good" and verdict.status == 1


def test_what_was_judged_before_an_interruption_is_kept(asked: Asked) -> None:
    verdicts = asked.checker.judge([CheckItem("good"), CheckItem("bad")], workers=1)
    next(verdicts)
    verdicts.close()
    (file,) = (asked.program.parent / "verdicts").iterdir()
    assert len(file.read_bytes().splitlines()) == 1
    file.write_bytes(file.read_bytes() + b'{"key": "cut sh')
    assert asked.judge("good", "bad") == [True, False]
    assert asked.judge("good", "bad") == [True, False]
    assert len(file.read_bytes().splitlines()) == 3


def test_another_program_judges_anew(asked: Asked) -> None:
    asked.judge("good")
    asked.program.write_text(asked.program.read_text() + "# changed\n")
    asked.judge("good")
    assert asked.times == 2
    asked.checker.forget()
    asked.judge("good")
    assert asked.times == 3


def test_a_time_limit_is_not_remembered(asked: Asked, tmp_path: Path) -> None:
    limited = VerdictCache(asked.checker.command, ".txt", Limits(timeout_s=0.5), tmp_path / "v")
    for _ in range(2):
        (verdict,) = limited.judge([CheckItem("slow")], workers=1)
        assert not verdict.passed and verdict.status is None
    (file,) = (tmp_path / "v").iterdir()
    assert file.read_bytes() == b""


def test_a_prompt_counts_where_the_checker_sees_it(tmp_path: Path) -> None:
    program = tmp_path / "same.py"
    program.write_text("import sys\nsys.exit(sys.argv[2] != 'yes')\n")
    command = (sys.executable, str(program), "{file}", "{prompt}")
    checker = VerdictCache(command, folder=tmp_path / "v")
    items = [CheckItem("x", "yes"), CheckItem("x", "no")]
    assert [v.passed for v in checker.judge(items, 2)] == [True, False]


def test_a_checker_that_is_not_installed_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not installed"):
        list(VerdictCache(("no-such-program-at-all",), folder=tmp_path).judge([CheckItem("x")], 1))
