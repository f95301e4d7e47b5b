"""`workbench data`: what a person or a script sees, and the exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workbench.cli import main

GOOD = [{"prompt": f"question {n}", "completion": f"answer {n}"} for n in range(3)]


def write(path: Path, rows: list[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A preset with a checker that refuses what holds no digit, and prompts held out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write(tmp_path / "rows.jsonl", [*GOOD, {"prompt": "x <|im_end|>", "completion": "nothing"}])
    write(tmp_path / "asked.jsonl", [{"prompt": "question  1"}])
    check = "import sys; text = open(sys.argv[1]).read(); sys.exit(not any(map(str.isdigit, text)))"
    path = tmp_path / "mine.toml"
    path.write_text(
        '[[data.source]]\npath = "rows.jsonl"\n[[train]]\nname = "sft"\n'
        f'[evaluate]\nprompts = "asked.jsonl"\nchecker = ["{{python}}", "-c", {json.dumps(check)}, '
        '"{file}"]\n'
    )
    return path


def test_good_data_are_told_on_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.jsonl", [*GOOD])
    assert main(["data", str(path)]) == 0
    said = capsys.readouterr()
    assert "rows            3" in said.out and "findings        0 errors" in said.out
    assert said.err == ""


def test_errors_are_lines_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.jsonl", [*GOOD, {"prompt": 1, "completion": "x"}, 7])
    assert main(["data", str(path)]) == 2
    said = capsys.readouterr()
    assert "findings        2 errors" in said.out
    assert said.err.splitlines() == [
        f"{path}:4: 'prompt' is a number, not a string",
        f"{path}:5: a row is a number, not an object (write one JSON object per line)",
    ]


def test_filters_choose_what_is_told_and_strict_what_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.jsonl", [*GOOD, GOOD[0], GOOD[0]])
    assert main(["data", str(path)]) == 0
    assert main(["data", str(path), "--strict"]) == 2
    assert main(["data", str(path), "--strict", "--ignore", "duplicate"]) == 0
    capsys.readouterr()
    assert main(["data", str(path), "--only", "duplicate,leak"]) == 0
    assert capsys.readouterr().out.count("duplicates ") == 3
    assert main(["data", str(path), "--only", "duplicat"]) == 2
    assert "did you mean 'duplicate'?" in capsys.readouterr().err


def test_errors_that_are_filtered_out_still_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.jsonl", [*GOOD, 7])
    assert main(["data", str(path), "--ignore", "not-an-object"]) == 2
    assert "1 error is hidden by --only or --ignore" in capsys.readouterr().err


def test_json_and_sarif_are_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, log = write(tmp_path / "a.jsonl", [*GOOD, GOOD[0], 7]), tmp_path / "log.sarif"
    assert main(["data", str(path), "--json", "--sarif", str(log)]) == 2
    said = json.loads(capsys.readouterr().out)
    assert said["counts"] == {"not-an-object": 1, "duplicate": 1} and not said["usable"]
    results = json.loads(log.read_text())["runs"][0]["results"]
    assert [(r["ruleId"], r["level"]) for r in results] == [
        ("not-an-object", "error"),
        ("duplicate", "warning"),
    ]


def test_near_duplicates_of_many_rows_are_left_to_a_flag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.commands.data.NEAR_ROWS", 3)
    long = " ".join(f"word{n}" for n in range(60))
    rows = [*GOOD, *({"prompt": f"{long} {end}", "completion": "x"} for end in "ab")]
    path = write(tmp_path / "a.jsonl", rows)
    main(["data", str(path)])
    assert "near duplicates not checked in 5 rows: use --near" in capsys.readouterr().out
    main(["data", str(path), "--near"])
    assert f"{path}:5: nearly identical to {path}:4" in capsys.readouterr().out


def test_a_preset_lends_its_data_model_checker_and_prompts(
    preset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "--preset", str(preset), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["counts"] == {"leak": 1, "refused": 1, "special-token": 1}
    assert {finding["path"] for finding in said["findings"]} == {"rows.jsonl"}
    assert "checked         4 responses, 1 failed" in said["notes"]
    assert main(["data", "--preset", str(preset), "--no-check", "--json"]) == 0
    assert "refused" not in json.loads(capsys.readouterr().out)["counts"]


@pytest.mark.parametrize("held", [20_000, 2])
def test_rows_that_are_too_long_are_told_with_the_length_that_saves_them(
    preset: Path,
    held: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether the rows are held in memory or read anew for each look."""
    monkeypatch.setattr("workbench.commands.data.NEAR_ROWS", held)
    preset.write_text(preset.read_text().replace('name = "sft"', "sequence_length = 64"))
    write(Path("rows.jsonl"), [*GOOD, {"prompt": "x", "completion": "long answer " * 200}])
    assert main(["data", "--preset", str(preset), "--no-check", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    (found,) = (one for one in said["findings"] if one["code"] == "over-length")
    assert found["line"] == 4 and "tokens, more than sequence_length = 64" in found["message"]
    assert "truncation would remove the stop token" in found["message"]
    notes = "\n".join(said["notes"])
    assert "chat tokens: 4 rows, 3 sequences" in notes and "would truncate none" in notes
    preset.write_text(preset.read_text().replace("= 64", '= 64\non_cut = "refuse"'))
    assert main(["data", "--preset", str(preset), "--no-check"]) == 2
    assert capsys.readouterr().err.startswith("rows.jsonl:4: ")


def test_a_path_is_looked_at_with_a_preset_s_eyes(
    preset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(Path("other.jsonl"), [{"prompt": "question 1", "completion": "none"}])
    assert main(["data", "other.jsonl", "--preset", str(preset), "--recheck"]) == 0
    said = capsys.readouterr().out
    assert (
        "other.jsonl:1: same opening prompt as" in said
        and "1 refused: the response fails the checker" in said
    )


def test_set_reaches_the_source_or_with_its_section_the_preset(
    preset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(preset.parent / "other.jsonl", [{"ask": "a question", "completion": "nothing"}])
    look = ["data", str(path), "--format", "prompt-completion", "--set", "fields.prompt=ask"]
    assert main([*look, "--preset", str(preset)]) == 0
    assert "1 refused" in capsys.readouterr().out
    check = 'evaluate.checker=["{python}", "-c", "", "{file}"]'
    assert main([*look, "--preset", str(preset), "--set", check]) == 0
    assert "refused" not in capsys.readouterr().out
    assert main([*look, "--set", check]) == 2
    told = capsys.readouterr().err
    assert "this is a preset key (add --preset NAME)" in told and told.count("\n") == 1


def test_neither_path_nor_preset_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data"]) == 2
    assert capsys.readouterr().err.startswith("PATH is missing (give a file")


def test_fix_writes_a_new_file_and_looks_at_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.jsonl", [*GOOD, GOOD[0]])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert main(["data", str(path), "--fix", "--strict"]) == 0
    said, target = capsys.readouterr(), tmp_path / "a.fixed.jsonl"
    assert f"{target}: 2 fixes" in said.err and "removed: duplicates" in said.err
    assert "rows            3" in said.out and str(target) in said.out
    assert main(["data", str(path), "--fix"]) == 2
    assert "the file already exists" in capsys.readouterr().err
    assert main(["data", str(path), "--fix", "-o", str(tmp_path / "b.jsonl")]) == 0
    assert main(["data", str(path), "-o", "x"]) == 2
    assert "-o needs --fix" in capsys.readouterr().err
