"""The samples that ship: each is read as its format, and no spoilt copy raises anything."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from workbench.cli import main
from workbench.dataset.formats import FORMATS
from workbench.dataset.reader_options import ReaderOptions
from workbench.dataset.sources import read_source

SAMPLES = Path(__file__).resolve().parents[3] / "data" / "samples"
# name -> format, rows
EXPECTED = {
    "alpaca.json": ("alpaca", 3),
    "chat.jsonl": ("chat", 4),
    "chat.jsonl.gz": ("chat", 4),
    "code": ("code", 2),
    "documents.arrow": ("documents", 2),
    "documents.jsonl": ("documents", 2),
    "dolly.jsonl": ("dolly", 3),
    "input-output.txt": ("input-output", 2),
    "markdown": ("markdown", 4),
    "pairs.tsv": ("prompt-completion", 2),
    "prompt-completion.jsonl": ("prompt-completion", 3),
    "prompt-completion.parquet": ("prompt-completion", 3),
    "sharegpt.jsonl": ("sharegpt", 3),
    "speeches.csv": ("documents", 3),
    "speeches.csv.zst": ("documents", 3),
    "task-code.txt": ("task-code", 2),
    "text": ("text", 3),
    "topics": ("topics", 4),
}
FILLED = ReaderOptions(placeholders={"NAME": "Ada"})
FOREIGN = (".parquet", ".arrow")  # their process has fuzzing of its own
# What a spoilt file is likely to hold where it should not.
SPLINTERS = [
    *(b"\0", b"\xff", b"\xef\xbb\xbf", b"\n", b"\r\n", b"\r", b'"', b"'", b"{", b"}", b"[", b"]"),
    *(b",", b":", b"---\n", b"```", b"# INPUT\n", b"TASK:", b"CODE:\n", b"## Code\n", b"\\u0000"),
    *(b"null", b"1e999", b"NaN", b"true", b"-7", b"${X}", b"<|endoftext|>\n", b"\\ud800", b"&a *a"),
    *(b"[" * 300, b"x" * 3000, "größer".encode(), "\u2028".encode(), b"!!python/object:os.system"),
]


def test_every_sample_is_known() -> None:
    assert {path.name for path in SAMPLES.iterdir()} == set(EXPECTED)
    assert {format for format, _ in EXPECTED.values()} == set(FORMATS) - {"csv"}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_sample_is_read_as_what_it_is(name: str) -> None:
    format, n_rows = EXPECTED[name]
    reading = read_source(SAMPLES / name, options=FILLED)
    assert (reading.format, len(reading.rows)) == (format, n_rows)
    assert {fault.code for fault in reading.faults} <= {"skipped"}
    assert all(row.place.line >= 1 for row in reading.rows)
    named = read_source(SAMPLES / name, format, options=FILLED)
    assert (named.rows, named.why) == (reading.rows, "as specified") or format == "topics"


@pytest.mark.parametrize("name", EXPECTED)
def test_the_command_takes_every_sample(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    filled = ["--set", "placeholders.NAME=Ada"] if name == "topics" else []
    assert main(["data", str(SAMPLES / name), *filled]) == 0
    assert EXPECTED[name][0] in capsys.readouterr().out.splitlines()[0]


def spoil(data: bytes, chance: random.Random) -> bytes:
    """The data with one to four changes: a bit, a splinter, a cut, a piece twice or elsewhere."""
    spoilt = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(spoilt) + 1)
        end = min(len(spoilt), at + chance.randint(1, 40))
        match chance.randrange(6):
            case 0 if at < len(spoilt):
                spoilt[at] ^= 1 << chance.randrange(8)
            case 1 | 2:
                spoilt[at:at] = chance.choice(SPLINTERS)
            case 3:
                del spoilt[at:end]
            case 4:
                spoilt[at:at] = spoilt[at:end] * chance.randint(1, 3)
            case _:
                piece = spoilt[at:end]
                del spoilt[at:end]
                to = chance.randrange(len(spoilt) + 1)
                spoilt[to:to] = piece
    return bytes(spoilt)


def fuzz(name: str, folder: Path, n_mutations: int) -> None:
    """Read so many spoilt copies of a sample; each must give rows or faults, and nothing else."""
    whole = SAMPLES / name
    copy = folder / name
    if whole.is_dir():
        shutil.copytree(whole, copy)
    else:
        shutil.copy(whole, copy)
    files = sorted(path for path in copy.rglob("*") if path.is_file()) if copy.is_dir() else [copy]
    contents = {path: path.read_bytes() for path in files}
    chance = random.Random(name)
    for number in range(n_mutations):
        path = chance.choice(files)
        path.write_bytes(spoil(contents[path], chance))
        format = "auto" if number % 2 else EXPECTED[name][0]
        reading = read_source(copy, format, options=FILLED)
        assert reading.rows or reading.faults
        assert all("\n" not in str(fault) for fault in reading.faults)
        for row in reading.rows:
            assert row.text or all(m.said.strip() or m.role == "system" for m in row.messages)
            assert json.dumps(row.to_json(), ensure_ascii=False, allow_nan=False).encode()
        path.write_bytes(contents[path])


@pytest.mark.parametrize("name", [name for name in EXPECTED if not name.endswith(FOREIGN)])
def test_no_spoilt_sample_raises(name: str, tmp_path: Path) -> None:
    fuzz(name, tmp_path, 60)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in EXPECTED if not name.endswith(FOREIGN)])
def test_none_of_two_thousand_spoilt_samples_raises(name: str, tmp_path: Path) -> None:
    fuzz(name, tmp_path, 2000)
