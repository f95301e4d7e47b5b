"""Evaluations of before: the run's own first, then other runs' by the time they were written."""

from __future__ import annotations

import os
from pathlib import Path

from tests.reports.helpers import case, write
from tests.run.helpers import make_run
from workbench.reports.evaluation_changes import LOOKED_AT, earlier_evaluations
from workbench.run.folder import RunFolder


def evaluated(root: Path, name: str, time_s: int) -> RunFolder:
    run = make_run(root, name)
    write(run.evaluation, {"base": [case(0, False)], "tuned": [case(0)]})
    os.utime(run.evaluation / "report.json", (time_s, time_s))
    return run


def names(run: RunFolder) -> list[str]:
    return [one.name for one in earlier_evaluations(run)]


def test_its_own_goes_first_then_the_newest(tmp_path: Path) -> None:
    evaluated(tmp_path, "a", 300)
    evaluated(tmp_path, "b", 100)
    evaluated(tmp_path, "c", 200)
    run = make_run(tmp_path, "now")
    assert names(run) == ["a", "c", "b"]
    write(run.evaluation, {"base": [case(0, False)], "tuned": [case(0)]})
    assert names(run) == ["the evaluation of 2026-11-21", "a", "c", "b"]


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    broken = evaluated(tmp_path, "broken", 300)
    (broken.evaluation / "report.json").write_text("{")
    make_run(tmp_path, "never-evaluated")
    assert names(make_run(tmp_path, "now")) == []


def test_the_latest_are_enough(tmp_path: Path) -> None:
    for number in range(LOOKED_AT + 2):
        evaluated(tmp_path, f"r{number}", number + 1)
    found = names(make_run(tmp_path, "now"))
    assert found == [f"r{number}" for number in reversed(range(2, LOOKED_AT + 2))]
