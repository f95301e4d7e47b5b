"""The benchmark of data sets: figures of browsing as they were, a status for goals missed."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import data
from benchmarks.figures import Figure, save

INDEX = Figure("index", 900, "MB/s", "higher", goal=300, goal_ratio=1.0, peer=850)


def test_figures_of_browsing_keep_what_is_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(command: list[str]) -> SimpleNamespace:
        save(command[command.index("--json") + 1], [INDEX])
        return SimpleNamespace(status=1, err="")

    monkeypatch.setattr(data, "measure", measure)
    found = data.browse(tmp_path, quick=True)
    assert found == [INDEX] and found[0].met


def test_browsing_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = SimpleNamespace(status=1, err="no terminal here")
    monkeypatch.setattr(data, "measure", lambda command: broken)
    with pytest.raises(SystemExit, match="no terminal here"):
        data.browse(tmp_path, quick=False)


@pytest.mark.parametrize("rows_per_s, status", [(60_000, 0), (40_000, 1)])
def test_a_goal_missed_ends_with_status_1(
    rows_per_s: float,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    figure = Figure("lint", rows_per_s, "rows/s", "higher", goal=data.GOAL_LINT)
    monkeypatch.setattr(data, "lint", lambda bench: [figure])
    monkeypatch.setattr(sys, "argv", ["data", "--quick", "--parts", "lint"])
    assert data.main() == status
    assert ("NO" in capsys.readouterr().out) == bool(status)
