"""Errors print as one line: the place, what is wrong, how to mend it."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.core.errors import (
    EXIT_FAILED,
    EXIT_INPUT,
    EXIT_INTERRUPTED,
    MAX_SHOWN,
    Interrupted,
    RunFailed,
    UserError,
    UserErrors,
)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (UserError("no rows"), "no rows"),
        (UserError("no rows", hint="add some"), "no rows (add some)"),
        (UserError("empty", path="a.txt"), "a.txt: empty"),
        (UserError("empty", path=Path("a.txt"), line=3, hint="h"), "a.txt:3: empty (h)"),
        (UserError("empty", path="a.txt", line=0), "a.txt:0: empty"),
        (UserError("empty", line=3), "empty"),
    ],
)
def test_place_first_then_the_fault_then_the_mending(error: UserError, text: str) -> None:
    assert str(error) == text


def test_several_faults_print_a_line_each_and_the_rest_is_counted() -> None:
    faults = [UserError(f"fault {n}", path="f", line=n) for n in range(MAX_SHOWN + 7)]
    lines = str(UserErrors(faults)).splitlines()
    assert len(lines) == MAX_SHOWN + 1
    assert lines[0] == "f:0: fault 0" and lines[-1] == "and 7 more"
    assert str(UserErrors(faults[:2])) == "f:0: fault 0\nf:1: fault 1"


def test_several_faults_stand_at_the_first_one_s_place() -> None:
    together = UserErrors([UserError("a", path="f", line=1, hint="h"), UserError("b")])
    assert (together.message, together.path, together.line, together.hint) == ("a", "f", 1, "h")


def test_exit_statuses() -> None:
    assert UserError("x").exit_status == UserErrors([UserError("x")]).exit_status == EXIT_INPUT == 2
    assert RunFailed("x").exit_status == EXIT_FAILED == 1
    assert Interrupted("x").exit_status == EXIT_INTERRUPTED == 130
