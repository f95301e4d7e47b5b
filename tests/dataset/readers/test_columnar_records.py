"""Parquet, Arrow and hub data sets, read by a process of their own, held to the rules of all."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import ipc, parquet

from workbench.dataset.reader_options import ReaderOptions
from workbench.dataset.readers import columnar_records
from workbench.dataset.rows import Row
from workbench.dataset.sources import iterate, plan_source, read_source

PAIRS = [
    {"prompt": "a", "completion": "b", "category": "x", "level": 1.5},
    {"prompt": "c", "completion": "d", "category": None, "level": float("nan")},
]


def write(path: Path, rows: list[dict[str, Any]] | pyarrow.Table) -> Path:
    table = rows if isinstance(rows, pyarrow.Table) else pyarrow.Table.from_pylist(rows)
    if path.suffix == ".parquet":
        parquet.write_table(table, path)
        return path
    new = ipc.new_stream if path.stem == "stream" else ipc.new_file
    with pyarrow.OSFile(str(path), "wb") as file, new(file, table.schema) as writer:
        writer.write_table(table)
    return path


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "stream.arrow"])
def test_records_are_read_with_their_numbers(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, PAIRS)
    reading = read_source(path)
    kind = "Parquet" if path.suffix == ".parquet" else "Arrow"
    assert reading.why == f"{kind} rows with 'prompt' and 'completion'"
    assert [(r.messages[0].content, r.expected, r.category) for r in reading.rows] == [
        ("a", "b", "x"),
        ("c", "d", ""),
    ]
    assert [str(row.place) for row in reading.rows] == [f"{path}:1", f"{path}:2"]
    assert [fault.message for fault in reading.faults] == [
        "unused keys (with row counts): 'level' (2)"
    ]


def test_conversations_in_columns_and_fields_of_another_name(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    path = write(tmp_path / "a.parquet", [{"talk": turns, "tag": "x"}])
    options = ReaderOptions(fields={"messages": "talk", "tags": "tag"})
    (row,) = read_source(path, options=options).rows
    assert (row.messages[0].content, row.expected, row.tags) == ("a", "b", ("x",))


def test_rows_are_held_to_the_rules_of_all(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "completion": c} for c in ("b", "", None, "\0", "d")]
    reading = read_source(write(tmp_path / "a.parquet", rows), "prompt-completion")
    assert [row.place.line for row in reading.rows] == [1, 5]
    told = [(fault.place.line, fault.code) for fault in reading.faults]
    assert told == [(2, "empty"), (3, "no-answer"), (4, "nul")]


def test_columns_of_bytes_are_told_and_left(tmp_path: Path) -> None:
    rows = [{"text": "a", "image": b"\xff" * 9, "frames": [b"x"], "at": {"raw": b"y"}}]
    reading = read_source(write(tmp_path / "a.parquet", rows), "documents")
    assert len(reading.rows) == 1
    assert [fault.message for fault in reading.faults] == [
        "binary columns that are ignored: 'image', 'frames', 'at'"
    ]


def bad_utf8() -> pyarrow.Table:
    texts = pyarrow.array([b"good", b"\xff\xfe", b"good"])
    return pyarrow.table({"text": pyarrow.Array.from_buffers(pyarrow.string(), 3, texts.buffers())})


CASES: dict[str, tuple[Any, str]] = {
    "cut parquet": (lambda p: p.write_bytes(p.read_bytes()[:-40]), "the file is corrupt"),
    "only magic": (lambda p: p.write_bytes(b"PAR1"), "the file is corrupt"),
    "no parquet": (lambda p: p.write_bytes(b'{"prompt": "a"}\n'), "the file is corrupt"),
    "empty": (lambda p: p.write_bytes(b""), "the file is corrupt"),
    "missing": (lambda p: p.unlink(), "file not found"),
    "two columns": (
        lambda p: write(p, pyarrow.table([["a"], ["b"]], names=["prompt", "prompt"])),
        "the column 'prompt' appears twice",
    ),
    "other columns": (
        lambda p: write(p, [{"x": 1}]),
        "Parquet rows in no known format (the keys are",
    ),
    "no rows": (
        lambda p: write(p, pyarrow.table({"text": pyarrow.array([], pyarrow.string())})),
        "the file contains no documents rows",
    ),
    "not utf-8": (lambda p: write(p, bad_utf8()), ":2: text that is not UTF-8"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_broken_file_is_one_line(name: str, tmp_path: Path) -> None:
    spoil, words = CASES[name]
    path = write(tmp_path / "a.parquet", PAIRS)
    spoil(path)
    (fault,) = read_source(path).fatal
    assert words in str(fault) and str(fault).startswith(f"{path}:") and "\n" not in str(fault)


def test_a_fifo_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.parquet")
    assert "is a pipe" in str(read_source(tmp_path / "a.parquet").faults[0])


def test_a_bomb_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columnar_records, "FREE_BYTES", 1 << 20)
    texts = pyarrow.DictionaryArray.from_arrays([0] * 100, ["x" * (1 << 18)])
    reading = read_source(write(tmp_path / "a.parquet", pyarrow.table({"text": texts})))
    assert "it expands to more than 1000 times its size" in str(reading.fatal[0])
    assert 0 < len(reading.rows) < 100


def test_the_process_ends_with_the_iteration(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", PAIRS * 50_000)
    rows = iterate(plan_source(path, "prompt-completion"))
    assert isinstance(next(rows), Row)
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    if children.exists():
        assert children.read_text().split()
    rows.close()  # type: ignore[attr-defined]
    if children.exists():
        assert not children.read_text().split()


def test_a_killed_process_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = tmp_path / "python"
    stand_in.write_text('#!/bin/sh\necho \'{"columns": ["text"]}\'\nkill -SEGV $$\n')
    stand_in.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stand_in))
    path = write(tmp_path / "a.parquet", PAIRS)
    (fault,) = read_source(path).faults
    assert str(fault) == (f"{path}:1: the reader process ended by signal 11 (is the file corrupt?)")


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyarrow.py").write_text("raise ImportError(name='pyarrow')\n")
    path = write(tmp_path / "a.parquet", PAIRS)
    here = str(Path(columnar_records.__file__).parents[3])
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{here}")
    (fault,) = read_source(path).faults
    assert str(fault).endswith("the library pyarrow is needed (pip install pyarrow)")


def test_the_front_reads_parquet_without_the_library(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", PAIRS)
    code = (
        "import sys\nfrom workbench.dataset.sources import read_source\n"
        f"assert len(read_source({str(path)!r}).rows) == 2\n"
        "assert not {'pyarrow', 'numpy', 'datasets', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def clone(folder: Path) -> Path:
    """What a clone of a data set's repository looks like."""
    (folder / "data").mkdir(parents=True)
    for split in ("train", "test"):
        write(folder / "data" / f"{split}-00000-of-00001.parquet", [{"q": split, "a": "b"}] * 3)
    return folder


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


@pytest.mark.usefixtures("offline")
def test_a_data_set_of_the_hub_is_streamed(tmp_path: Path) -> None:
    options = ReaderOptions(fields={"prompt": "q", "completion": "a"}, rows=2)
    place = f"hub:{clone(tmp_path / 'clone')}:test"
    reading = read_source(place, "prompt-completion", "mine", options=options)
    assert not reading.fatal
    assert [(r.messages[0].content, str(r.place), r.source) for r in reading.rows] == [
        ("test", f"{place}:1", "mine"),
        ("test", f"{place}:2", "mine"),
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("clone", ""),
        ("clone:none", "Bad split: none"),
        ("nowhere", "folder not found"),
        ("owner/name", "cannot reach the Hub"),
    ],
)
def test_what_the_hub_does_not_have(split: str, words: str, tmp_path: Path) -> None:
    clone(tmp_path / "clone")
    place = f"hub:{split}" if "owner" in split else f"hub:{tmp_path}/{split}"
    reading = read_source(place)
    if words:
        assert words in str(reading.faults[0]) and not reading.rows
    else:
        assert reading.why == "Hub rows with 'q' and 'a'" and len(reading.rows) == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "stream.arrow"])
def test_no_mutation_gets_out_of_the_process(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, PAIRS * 20)
    data, chance = path.read_bytes(), random.Random(7)
    for _ in range(60):
        spoilt = bytearray(data)
        for _ in range(chance.randint(1, 8)):
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        path.write_bytes(spoilt)
        reading = read_source(path, "prompt-completion")
        assert reading.rows or reading.faults
        assert all("\n" not in str(fault) for fault in reading.faults)
