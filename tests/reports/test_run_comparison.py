"""Runs side by side: what differs in their presets, what came of them, what newly fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.reports.helpers import case, write
from tests.run.helpers import make_run, step, validated
from workbench.cli import main
from workbench.reports.comparison_text import INDENT, lines
from workbench.reports.run_comparison import Comparison, compare, flat
from workbench.run import events
from workbench.run.folder import RunFolder, runs_root
from workbench.run.log import EventLog

PRESET = 'name = "x"\n[[train]]\nname = "sft"\nlr = {lr}\ntargets = ["q", "v"]\n'


def trained(root: Path, name: str, lr: float, loss: float, failing: tuple[int, ...]) -> RunFolder:
    run = make_run(root, name, PRESET.format(lr=lr))
    log = EventLog(run.events_file)
    log.append(events.RunStarted(pid=1, host="h", version="0", stages=["train:sft", "export"]))
    log.append(step(1), "train:sft")
    log.append(step(10, loss=loss), "train:sft")
    log.append(validated(5, loss), "train:sft")
    log.append(validated(10, loss + 0.5), "train:sft")
    log.append(events.StageDone(elapsed_s=75.0, inputs=""), "train:sft")
    made = events.FileExported(type="f16", path="p", bytes=3 << 20, fallbacks=0, elapsed_s=1)
    log.append(made, "export")
    log.append(events.RunDone(elapsed_s=80))
    log.close()
    cases = [case(n, n not in failing) for n in range(10)]
    write(run.evaluation, {"base": [case(n, False) for n in range(10)], "tuned": cases})
    return run


@pytest.fixture
def runs(tmp_path: Path) -> list[RunFolder]:
    new = trained(tmp_path, "new", 0.002, 0.25, (1, 2))
    old = trained(tmp_path, "old", 0.001, 0.5, (2, 3, 4))
    return [new, old, make_run(tmp_path, "bare", PRESET.format(lr=0.001))]


def values(found: Comparison) -> dict[tuple[str, str], tuple[object, ...]]:
    return {(row.section, row.name): row.values for row in found.rows}


def test_a_preset_is_flat_as_set_names_its_keys() -> None:
    told = {"a": {"b": [{"c": 1}, {"c": [1, 2]}]}, "d": [True], "e": [["x"]], "f": []}
    assert flat(told) == {
        "a.b.0.c": 1,
        "a.b.1.c": "[1, 2]",
        "d": "[True]",
        "e.0": "['x']",
        "f": "[]",
    }


def test_facts_stand_beside_each_other(runs: list[RunFolder]) -> None:
    found = compare(runs)
    told = values(found)
    assert found.names == ("new", "old", "bare") and found.notes == ()
    assert told["run", "status"] == ("done", "done", "new")
    assert told["preset", "train.0.lr"] == (0.002, 0.001, 0.001)
    assert not [name for section, name in told if name == "train.0.targets"]
    assert told["train sft", "best validation loss"] == (0.25, 0.5, None)
    assert told["train sft", "last validation loss"] == (0.75, 1.0, None)
    assert told["train sft", "steps"] == (10, 10, None)
    assert told["export", "f16"] == (3 << 20, 3 << 20, None)
    assert told["evaluation: tuned", "checker pass rate"] == (0.8, 0.7, None)


def test_the_first_is_told_against_each_of_the_others(runs: list[RunFolder]) -> None:
    (change,) = compare(runs).changes
    assert change.run == "old" and change.models == ("new tuned", "tuned")
    assert [one.index for one in change.newly_failing] == [1]
    assert [one.index for one in change.newly_passing] == [3, 4]
    assert "2 newly pass, 1 newly fail on 10 shared prompts" in change.sentence
    assert compare(runs[2:]).changes == () and compare(runs[::-1]).changes == ()


def test_one_run_alone_differs_from_nothing(runs: list[RunFolder]) -> None:
    found = compare(runs[:1])
    assert not [row for row in found.rows if row.section == "preset"]
    assert values(found)["train sft", "time"] == (75.0,)


@pytest.mark.parametrize("width", [40, 80, 160, 1000])
def test_lines_fit_and_keep_their_columns(runs: list[RunFolder], width: int) -> None:
    found = compare(runs)
    told = lines(found, width)
    table = told[: told.index("")]
    assert max(map(len, table)) <= max(width, 8 * 4 + 6)
    heads = table[0]
    at = heads.index("old")
    rows = [line for line in table if line.startswith(f"{INDENT}status")]
    assert rows[0][at:].startswith("done")


def test_what_cannot_be_read_is_a_note(runs: list[RunFolder]) -> None:
    runs[0].preset_file.write_text("= nonsense")
    (runs[1].evaluation / "cases" / "tuned.jsonl").write_text("{}\n")
    found = compare(runs)
    assert len(found.notes) == 1 and found.notes[0].startswith("new: ")
    runs[0].preset_file.write_text(PRESET.format(lr=1))
    assert "tuned.jsonl:1: not a valid evaluation case" in compare(runs).notes[0]


def test_the_command_tells_the_same_as_the_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, lr in (("one", 0.1), ("two", 0.2)):
        trained(runs_root(), name, lr, lr, ())
    assert main(["runs", "two", "one"]) == 0
    told = capsys.readouterr().out
    assert f"{INDENT}train.0.lr" in told and "two tuned vs. one tuned: 0 newly pass" in told
    assert main(["runs", "two", "one", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["runs"] == ["two", "one"] and value["evaluation"][0]["newly_failing"] == []
    assert main(["runs", "two", "three"]) == 2
    assert "no run 'three'" in capsys.readouterr().err
