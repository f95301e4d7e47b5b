"""Run folders: names, numbers, finding them again."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.run.helpers import make_run
from workbench.core.errors import UserError
from workbench.run.folder import create, find, list_runs, plain_name, runs_root


def test_a_new_run_gets_the_presets_name_and_then_numbers(tmp_path: Path) -> None:
    names = [create(tmp_path, "quick").name for _ in range(3)]
    assert names == ["quick", "quick-2", "quick-3"]
    assert stat.S_IMODE((tmp_path / "quick").stat().st_mode) == 0o700


def test_starts_at_the_same_moment_get_different_folders(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: create(tmp_path, "q"), range(24)))
    assert len({run.path for run in runs}) == 24


def test_a_taken_name_is_refused_with_the_way_on(tmp_path: Path) -> None:
    create(tmp_path, "q", "mine")
    with pytest.raises(UserError, match="this run already exists .*workbench resume mine"):
        create(tmp_path, "q", "mine")


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "-x", "a b", "x" * 101, "a\n", "ü"])
def test_a_name_that_is_no_plain_one_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="invalid run name"):
        create(tmp_path, "q", name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("my preset", "my-preset"),
        ("../../x", "x"),
        ("ü", "run"),
        ("a" * 200, "a" * 80),
        ("", "run"),
    ],
)
def test_any_presets_name_becomes_a_plain_one(tmp_path: Path, text: str, name: str) -> None:
    assert plain_name(text) == name
    assert create(tmp_path, text).name == name


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot create a run here: Not a directory|File exists"):
        create(tmp_path / "file", "q")


def test_runs_are_found_by_name_and_by_path(tmp_path: Path) -> None:
    made = make_run(tmp_path, "mine")
    assert find(tmp_path, "mine") == made
    assert find(tmp_path / "elsewhere", str(made.path)) == made


@pytest.mark.parametrize("name", ["mime", "", "..", "/", "nothing\x00"])
def test_a_run_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    make_run(tmp_path, "mine")
    with pytest.raises(UserError, match="no run"):
        find(tmp_path, name)


def test_folders_that_a_copy_left_out_are_made(tmp_path: Path) -> None:
    run = create(tmp_path, "x")
    (run.dataset / "train.jsonl").write_text("kept")
    run.evaluation.rmdir()
    run.make_folders()
    assert run.evaluation.is_dir() and (run.dataset / "train.jsonl").read_text() == "kept"


def test_a_mistyped_name_gets_the_nearest_one(tmp_path: Path) -> None:
    make_run(tmp_path, "mine")
    with pytest.raises(UserError, match="did you mean 'mine'"):
        find(tmp_path, "mime")
    with pytest.raises(UserError, match="there are no runs yet"):
        find(tmp_path / "empty", "x")


def test_runs_are_listed_newest_last_and_other_folders_are_not(tmp_path: Path) -> None:
    for age, name in enumerate(["old", "middle", "new"]):
        run = make_run(tmp_path, name)
        os.utime(run.preset_file, (age, age))
    (tmp_path / "no-run").mkdir()
    (tmp_path / "file").write_text("")
    assert [run.name for run in list_runs(tmp_path)] == ["old", "middle", "new"]
    assert list_runs(tmp_path / "absent") == []


def test_the_root_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_RUNS", "/somewhere")
    assert runs_root() == Path("/somewhere")
    monkeypatch.delenv("WORKBENCH_RUNS")
    assert runs_root() == Path("runs")
