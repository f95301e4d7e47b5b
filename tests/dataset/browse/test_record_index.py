"""The index finds exactly the records that reading from the beginning would."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.dataset.browse.file_bytes import ChangedError, RawFile
from workbench.dataset.browse.record_index import BOM, Index, Mark
from workbench.dataset.rows import Row
from workbench.dataset.sources import iterate, plan_source

# What files are made of, where lines, blocks and marks could be taken for one another.
PARTS = st.sampled_from(
    [
        b"\n",
        b"\r\n",
        b"\n\n",
        b"{}",
        b"x" * 40,
        b" ",
        b"\t",
        b"\0",
        BOM,
        b"\r",
        b"# IN",
        b"\xc3\xbc",
    ]
    + [b"# INPUT\n", b"\n# INPUT\n", b"\n# INPUT \r\n", b"# OUTPUT\n", b"<sep>\n", b"\n  <sep>"]
)
CONTENTS = st.lists(PARTS, max_size=40).map(b"".join)
BLANKS = b" \t\r\x0b\x0c"


@contextmanager
def index_of(path: Path, mark: Mark | None = None, block_bytes: int = 16) -> Iterator[Index]:
    file = RawFile(path)
    index = Index(file.read, mark, block_bytes)
    while index.extend():
        pass
    yield index
    file.close()


def records(index: Index) -> list[tuple[int, bytes]]:
    """(line, bytes) of every record."""
    spans = [index.span(number) for number in range(len(index))]
    return [(s.line, index._read(s.end - s.start, s.start)) for s in spans]


def lines_of(data: bytes) -> list[tuple[int, bytes]]:
    """(number, line) of the lines that are not blank, by plain splitting."""
    lines = data.removeprefix(BOM).split(b"\n")
    return [(n, line) for n, line in enumerate(lines, 1) if line.strip(BLANKS)]


def marked_of(data: bytes, mark: Mark) -> list[int]:
    """Numbers of the lines with which records begin, by going through all of them."""
    lines = lines_of(data)
    starts = [n for n, line in lines if line.strip(BLANKS) == mark.text and _may(mark, line)]
    starts = sorted({*starts, *[n for n, _ in lines[:1]]})
    if mark.separator and len(starts) > 1 and lines[-1][0] == starts[-1]:
        starts.pop()
    return starts


def _may(mark: Mark, line: bytes) -> bool:
    return mark.separator or line.startswith(mark.text)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("index") / "data"


@given(CONTENTS, st.integers(8, 80))
def test_every_line_that_is_not_blank_is_a_record(place: Path, data: bytes, block: int) -> None:
    place.write_bytes(data)
    with index_of(place, block_bytes=block) as index:
        numbers = {line: n for n, (line, _) in enumerate(lines_of(data))}
        assert all(index.number_at(line) == n for line, n in numbers.items())
        found = [(line, raw.partition(b"\n")[0]) for line, raw in records(index)]
        assert found == lines_of(data)


@given(
    CONTENTS,
    st.integers(8, 80),
    st.sampled_from([Mark(b"# INPUT"), Mark(b"<sep>", separator=True)]),
)
def test_a_record_begins_with_its_mark(place: Path, data: bytes, block: int, mark: Mark) -> None:
    place.write_bytes(data)
    starts = marked_of(data, mark)
    with index_of(place, mark, block) as index:
        for number, line in enumerate(starts):
            assert index.number_at(line) == number
        found = records(index)
    assert [line for line, _ in found] == starts
    if found:
        assert data.endswith(b"".join(raw for _, raw in found))


@given(st.lists(CONTENTS, min_size=1, max_size=5), st.sampled_from([None, Mark(b"# INPUT")]))
def test_a_growing_file_is_indexed_on(place: Path, parts: list[bytes], mark: Mark | None) -> None:
    place.write_bytes(b"x\n")
    with index_of(place, mark) as index:
        for part in parts:
            with open(place, "ab") as file:
                file.write(part)
            while index.extend():
                pass
            with index_of(place, mark) as whole:
                assert records(index) == records(whole)


@pytest.mark.parametrize("behind", [b"", b"\n", b"\n\n", b"\n" + b" \n" * 50])
def test_nothing_is_behind_a_last_separator_however_many_blocks_it_takes(
    place: Path, behind: bytes
) -> None:
    place.write_bytes(b"# IN\n  <sep>" + behind)
    with index_of(place, Mark(b"<sep>", separator=True), 8) as index:
        assert [line for line, _ in records(index)] == [1]


@pytest.mark.parametrize("rest, starts", [(b"x\nc", [1]), (b" \t \nc", [1, 2]), (b"x", [1])])
def test_a_line_longer_than_a_block_is_a_mark_only_as_a_whole(
    place: Path, rest: bytes, starts: list[int]
) -> None:
    place.write_bytes(b"a\n  <sep>\r" + rest)
    with index_of(place, Mark(b"<sep>", separator=True), 8) as index:
        assert [line for line, _ in records(index)] == starts


def test_lines_longer_than_a_block_are_stepped_over(place: Path) -> None:
    long = b'{"x": "' + b"y" * 3_000_000 + b'"}'
    place.write_bytes(b"{}\n" + long + b"\n{}\n" + long)
    with index_of(place, block_bytes=1024) as index:
        found = records(index)
    assert [(line, len(raw)) for line, raw in found] == [
        (1, 3),
        (2, len(long) + 1),
        (3, 3),
        (4, len(long)),
    ]


def test_only_whole_records_are_counted_before_the_end(place: Path) -> None:
    place.write_bytes(b"# INPUT\na\n# INPUT\nb\n")
    file = RawFile(place)
    index = Index(file.read, Mark(b"# INPUT"), 10)
    assert index.extend() and len(index) == 0
    assert index.extend() and len(index) == 1
    while index.extend():
        pass
    assert len(index) == 2
    file.close()


def test_a_file_that_shrank_is_told(place: Path) -> None:
    place.write_bytes(b"{}\n" * 100)
    with index_of(place) as index:
        os.truncate(place, 30)
        assert index.span(0).end == 3
        with pytest.raises(ChangedError):
            index.span(90)


def test_records_are_the_rows_that_the_reader_finds(tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    pairs = [f"# INPUT\nask {n}\n# INPUT here\n\n# OUTPUT\nsay {n}\n" for n in range(50)]
    path.write_text("\n\n".join(pairs))
    rows = [entry for entry in iterate(plan_source(path)) if isinstance(entry, Row)]
    with index_of(path, Mark(b"# INPUT"), 64) as index:
        assert [row.place.line for row in rows] == [line for line, _ in records(index)]
