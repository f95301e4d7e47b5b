"""`--fix`: a new file without the harmless faults, the same rows, and the source as it was."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.errors import UserError
from workbench.dataset.checks.fixes import fix, fixed_name
from workbench.dataset.duplicates import dedupe, row_key
from workbench.dataset.sources import read_source


def pair(prompt: str, completion: str = "x") -> str:
    return json.dumps({"prompt": prompt, "completion": completion})


def fixed(path: Path, raw: bytes) -> tuple[bytes, list[tuple[int, str]]]:
    """(what stands in the new file, line and code of what was done)."""
    path.write_bytes(raw)
    target = fixed_name(path)
    done = fix(path, target).done
    assert path.read_bytes() == raw
    assert {found.name for found in path.parent.iterdir()} == {path.name, target.name}
    return target.read_bytes(), [(fault.place.line, fault.code) for fault in done]


def test_every_harmless_fault_of_json_lines_is_mended(tmp_path: Path) -> None:
    rows = [pair(f"q{n}") for n in range(6)]
    bom = "\ufeff"
    lines = [
        bom + rows[0],
        rows[1] + "\r",
        "",
        f" {rows[2]}\t",
        bom + rows[3],
        pair("q\0"),
        rows[0],
    ]
    lines += [rows[4][:-2] + '\0x"}', pair("keep \\u0000"), rows[5]]
    made, done = fixed(tmp_path / "a.jsonl", "\n".join(lines).encode())
    kept = [*rows[:4], pair("q"), rows[4][:-2] + 'x"}', pair("keep \\u0000"), rows[5]]
    assert made.decode().splitlines() == kept
    assert done == [
        (1, "bom"),
        (2, "crlf"),
        (3, "white-space"),
        (4, "white-space"),
        (5, "bom-inside"),
        (6, "nul"),
        (8, "nul"),
        (7, "duplicate"),
    ]
    assert not read_source(tmp_path / "a.fixed.jsonl").faults


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_declared_encoding_is_written_as_utf_8(encoding: str, tmp_path: Path) -> None:
    made, done = fixed(tmp_path / "a.jsonl", f"{pair('größer')}\n".encode(encoding))
    assert made == f"{pair('größer')}\n".encode()
    assert done[0] == (1, "not-utf8")
    cut = tmp_path / "b.jsonl"
    cut.write_bytes(pair("x").encode("utf-16")[:-1])
    with pytest.raises(UserError, match="is not valid UTF-16, as its mark declares"):
        fix(cut, tmp_path / "c.jsonl")
    assert not (tmp_path / "c.jsonl").exists()


def test_blocks_that_repeat_are_left_out(tmp_path: Path) -> None:
    def block(ask: str, answer: str) -> str:
        return f"# INPUT\n\n{ask}\n\n# OUTPUT\n\n{answer}  \n\n"

    raw = block("a", "1") + block("a", " 1") + block("b", "2") + block("a", "1")
    made, done = fixed(tmp_path / "a.txt", raw.encode())
    assert made.decode() == block("a", "1") + block("b", "2")
    assert done == [(9, "duplicate"), (25, "duplicate")]


def test_what_leaves_a_choice_is_left_and_said(tmp_path: Path) -> None:
    source = tmp_path / "a.txt"
    source.write_text("# INPUT\na\n# OUTPUT\nb\n# INPUT\na\n# OUTPUT\nb\n# INPUT\nc\n")
    assert "fix the errors first" in fix(source, tmp_path / "b.txt").left
    assert (tmp_path / "b.txt").read_bytes() == source.read_bytes()
    table = tmp_path / "a.csv"
    table.write_text("prompt,completion\na,b\na,b\n")
    assert (
        "they cannot be removed from prompt-completion files" in fix(table, tmp_path / "b.csv").left
    )
    (tmp_path / "n.jsonl").write_text("7\n7\n")
    assert "kept: not JSON" in fix(tmp_path / "n.jsonl", tmp_path / "m.jsonl").left
    assert (tmp_path / "b.csv").read_bytes() == table.read_bytes()


def test_nothing_is_overwritten_and_no_odd_file_is_read(tmp_path: Path) -> None:
    source, target = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    source.write_text(pair("a"))
    target.write_text("mine")
    with pytest.raises(UserError, match="the file already exists"):
        fix(source, target)
    with pytest.raises(UserError, match="the file already exists"):
        fix(source, source)
    assert target.read_text() == "mine"
    with pytest.raises(UserError, match="is a folder"):
        fix(tmp_path, tmp_path / "c")
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(pair("a").encode()))
    with pytest.raises(UserError, match="compressed files cannot be fixed"):
        fix(tmp_path / "a.jsonl.gz", tmp_path / "d.gz")


PIECES = st.sampled_from(
    [pair("a"), pair("b"), pair("a "), "\r", "", " ", "\ufeff", "\0", '{"', "7"]
)


@settings(max_examples=150, deadline=None)
@given(lines=st.lists(st.lists(PIECES, max_size=3).map("".join), min_size=1, max_size=8))
def test_what_could_be_read_can_still_be_read(
    lines: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("fix")
    path = folder / "a.jsonl"
    path.write_bytes("\n".join(lines).encode())
    fix(path, folder / "b.jsonl", "prompt-completion")
    before = read_source(path, "prompt-completion")
    after = read_source(folder / "b.jsonl", "prompt-completion")
    kept, _ = dedupe(before.rows, "exact")
    assert {row_key(row) for row in kept} <= {row_key(row) for row in after.rows}
    assert len(dedupe(after.rows, "exact")[0]) == len(after.rows)
    if all(fault.code != "not-utf8" for fault in before.fatal):  # else no line was looked at
        assert len(after.fatal) <= max(1, len(before.fatal))
