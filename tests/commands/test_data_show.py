"""`workbench data PATH --preset NAME --show N`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workbench.cli import main


def rows_file(folder: Path) -> Path:
    path = folder / "rows.jsonl"
    rows = [{"prompt": f"ask {n} \x1b[2J", "completion": f"say {n}"} for n in range(1, 4)]
    lines = [json.dumps(row) for row in rows]
    path.write_text("\n".join([*lines[:2], "", '{"prompt": 7}', lines[2]]))
    return path


def test_a_row_is_shown_with_its_mask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["data", str(rows_file(tmp_path)), "--preset", "quickstart", "--show"]
    assert main([*arguments, "2"]) == 0
    shown = capsys.readouterr().out
    assert "rows.jsonl:2: " in shown and "⟦say 2<|im_end|>⟧" in shown and "\x1b" not in shown
    assert main([*arguments, "4", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["line"] == 5 and value["trained"] == sum(p["trained"] for p in value["pieces"])


def test_set_reaches_the_row_that_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"ask": "why", "completion": "because"}\n')
    look = ["data", str(path), "--format", "prompt-completion", "--preset", "quickstart"]
    assert main([*look, "--show", "1", "--set", "fields.prompt=ask"]) == 0
    assert "⟦because<|im_end|>⟧" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["--show", "3", "--preset", "quickstart"], "rows.jsonl:4: 'prompt' is a number"),
        (["--show", "5", "--preset", "quickstart"], "there is no row 5: the data has 4 rows"),
        (["--show", "0", "--preset", "quickstart"], "rows are numbered from 1"),
        (["--show", "1"], "--show needs PATH and --preset"),
        (["--show", "1", "--preset", "absent"], "preset 'absent' not found"),
    ],
)
def test_what_cannot_be_shown_is_told_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert main(["data", str(rows_file(tmp_path)), *arguments]) == 2
    said = capsys.readouterr()
    assert told in said.err and said.err.count("\n") == 1 and not said.out
