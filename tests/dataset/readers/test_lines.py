"""Lines read many at a time are the lines and faults that reading one after the other finds."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from workbench.dataset.readers import lines
from workbench.dataset.readers.lines import Line, _decode, read_lines
from workbench.dataset.rows import Fault

BITS = st.sampled_from(
    [b"\n", b"\n\n", b"\r\n", b"\r", b"a", b"{}", b"\0", b"\xff", b"\xc3", b"\xc3\xa4", b" "]
    + ["\ufeff".encode(), "\u2028".encode(), b"\x1c", b"\x85", b"long line " * 4]
)


def one_by_one(path: Path, data: bytes, limit: int) -> Iterator[tuple[int, str]]:
    """(line, its text or the code of its fault): what the words of `read_lines` promise."""
    crlf = 0
    *whole, last = data.split(b"\n")
    ended = [(raw, b"\n") for raw in whole] + [(last, b"")] * bool(last)
    for number, (raw, end) in enumerate(ended, 1):
        if len(raw + end) > limit:
            yield number, "line-too-long"
            continue
        if number == 1 and raw.startswith("\ufeff".encode()):
            raw = raw[3:]
            yield 1, "bom"
        if end and raw.endswith(b"\r"):
            crlf, raw = crlf or number, raw[:-1]
        entry = _decode(path, number, raw)
        yield number, entry.code if isinstance(entry, Fault) else entry.texts[0]
    if crlf:
        yield crlf, "crlf"


def told(entries: Iterator[Line | Fault]) -> list[tuple[int, str]]:
    return [
        (entry.number, entry.text) if isinstance(entry, Line) else (entry.place.line, entry.code)
        for entry in entries
    ]


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    bits=st.lists(BITS, max_size=40), limit=st.sampled_from([5, 41, 1000]), size=st.integers(1, 50)
)
@example(bits=[b"a" * 4, b"\n", b"b" * 5, b"\n", b"c" * 5], limit=5, size=3)
def test_whatever_the_bytes(tmp_path: Path, bits: list[bytes], limit: int, size: int) -> None:
    # The first line has no NULs, which would make it one of another encoding.
    data = b"first line, of the usual kind"[: limit - 1] + b"\n" + b"".join(bits)
    path = tmp_path / "a.jsonl"
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "PIECE_BYTES", size)
        assert told(read_lines(path, limit)) == list(one_by_one(path, data, limit))


@pytest.mark.parametrize("size", [7, 1 << 18])
def test_what_stands_before_broken_data_comes(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "PIECE_BYTES", size)
    packed = gzip.compress(b"".join(b"line %d\n" % n for n in range(60_000)))
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(packed[: len(packed) // 2])
    *before, last = read_lines(path)
    assert isinstance(last, Fault) and last.code == "unreadable"
    assert last.place.line == len(before) + 1 > 10_000
    assert [line.text for line in before if isinstance(line, Line)] == [
        f"line {n}" for n in range(len(before))
    ]


def test_a_line_without_end_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"x" * 3_000_000 + b"\n{}\n" + b"y" * 3_000_000)
    with path.open("rb") as file:
        found = list(lines.pieces(file, 1_000_000))
    assert [(len(piece), whole) for piece, whole in found] == [
        (200, False),
        (3, True),
        (200, False),
    ]
