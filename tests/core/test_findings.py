"""Findings are collected from every check before any is raised."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from workbench.core.errors import RunFailed, UserError, UserErrors
from workbench.core.findings import Finding, collect, error, raise_errors, warning


def warns(subject: str) -> Iterator[Finding]:
    yield warning(f"{subject} is odd")


def raises(subject: str) -> Iterator[Finding]:
    yield warning("said before")
    raise UserError("wrong", path=subject, hint="mend it")


def raises_more(subject: str) -> Iterator[Finding]:
    raise UserErrors([UserError("one"), UserError("two")])
    yield


def fails(subject: str) -> Iterator[Finding]:
    raise RunFailed("llama.cpp says no")
    yield


CHECKS = {"a": raises, "b": warns, "c": raises_more, "d": fails, "e": lambda _: [error("plain")]}


def test_a_check_that_raises_is_one_error_and_the_others_still_run() -> None:
    found = collect(CHECKS, "file")
    told = [(one.check, one.level, one.message) for one in found]
    assert told == [
        ("a", "warning", "said before"),
        ("a", "error", "wrong"),
        ("b", "warning", "file is odd"),
        ("c", "error", "one"),
        ("c", "error", "two"),
        ("d", "error", "llama.cpp says no"),
        ("e", "error", "plain"),
    ]
    assert str(found[1]) == "file: wrong (mend it)"


def test_all_errors_are_raised_together_and_warnings_never() -> None:
    with pytest.raises(UserErrors) as raised:
        raise_errors(collect(CHECKS, "file"))
    assert [one.message for one in raised.value.errors] == [
        "wrong",
        "one",
        "two",
        "llama.cpp says no",
        "plain",
    ]
    raise_errors(collect({"b": warns}, "file"))


def test_a_fault_of_our_own_is_no_finding() -> None:
    def broken(subject: str) -> Iterator[Finding]:
        raise KeyError(subject)
        yield

    with pytest.raises(KeyError):
        collect({"broken": broken}, "file")
