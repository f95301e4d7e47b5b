"""What the Data pane shows of a data set of any size, without a screen."""

from __future__ import annotations

import gzip
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tui.helpers import HOSTILE
from workbench.dataset.browse.record_library import SourceRequest
from workbench.dataset.browse.records import Entry
from workbench.dataset.browse.search_process import pattern_fault
from workbench.dataset.rows import Fault, Message, Place, Row
from workbench.runner.preview import load_preview
from workbench.tokenization.preview import PreviewToken, RowPreview
from workbench.tui.panes.data.model import DataModel
from workbench.tui.panes.data.preview_client import LengthCounts, TokenPreviews
from workbench.tui.panes.data.row_filter import FilteredRows, RowFilter
from workbench.tui.panes.data.row_loader import RowLoader
from workbench.tui.panes.data.row_text import TRAINED, plain_lines, token_lines
from workbench.tui.panes.data.summary_text import figure_lines, heading

LIMIT_S = 60.0


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.tui.panes.data.model.LOOK_EVERY_S", 0.05)


def write_rows(path: Path, count: int, start: int = 0) -> Path:
    choose = random.Random(start)
    with open(path, "a") as file:
        for number in range(start, start + count):
            row = {
                "prompt": f"question {number} {choose.random()}",
                "completion": f"answer {number}",
                "category": ["loops", "words", "trees"][number % 3],
            }
            file.write(json.dumps(row) + "\n")
    return path


def until(condition: Callable[[], bool]) -> None:
    """Wait for what a thread or a process brings about."""
    ends = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < ends, "it did not come about"
        time.sleep(0.01)


@contextmanager
def opened(path: Path, format: str = "auto", answers: bool = True) -> Iterator[DataModel]:
    """The data set with all its rows and findings known."""
    reading = DataModel(SourceRequest(str(path), format, answers)).start()
    try:
        until(lambda: reading.done)
        yield reading
    finally:
        reading.stop()
        reading._thread.join()


def entry(reading: DataModel, number: int) -> Entry:
    until(lambda: reading.entry(number) is not None)
    found = reading.entry(number)
    assert found is not None
    return found


def searched(reading: DataModel, wanted: RowFilter) -> list[int | None]:
    selection = FilteredRows(reading, wanted)
    until(lambda: not selection.busy)
    assert not selection.told()
    return [selection[index] for index in range(len(selection))]


def test_rows_and_findings_have_their_signs(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"prompt": "a", "completion": "b"}, {"prompt": "a", "completion": "b"}]
    rows += [{"prompt": "a", "completion": "c"}, {"prompt": 7}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with opened(path) as reading:
        assert len(reading) == 4 and reading.kinds == "prompt-completion"
        assert [type(entry(reading, n)) for n in range(4)] == [Row, Row, Row, Fault]
        signs = {place.line: sign for place, sign in reading.found.signs.items()}
        assert signs == {2: "=", 3: "!", 4: "✗"}
        assert searched(reading, RowFilter(with_finding=True)) == [1, 2, 3]
        assert searched(reading, RowFilter("c", with_finding=True)) == [2]
        told = heading(reading, FilteredRows(reading, RowFilter())).plain
        assert "4 rows  1 error  1 duplicate  1 warning" in told


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_filter_finds_what_a_plain_search_does(tmp_path: Path, suffix: str) -> None:
    path = write_rows(tmp_path / "rows.jsonl", 300)
    if suffix:
        packed = tmp_path / f"rows.jsonl{suffix}"
        packed.write_bytes(gzip.compress(path.read_bytes()))
        path = packed
    with opened(path) as reading:
        assert reading.spooled == bool(suffix) and len(reading) == 300
        entries = [entry(reading, n) for n in range(300)]
        rows = [e for e in entries if isinstance(e, Row)]
        assert [row.place.line for row in rows] == list(range(1, 301))
        answers = {f"answer {n}" for n in range(10, 20)}
        by_pattern = [n for n, row in enumerate(rows) if row.expected in answers]
        assert searched(reading, RowFilter("ANSWER 1.$")) == by_pattern
        of_trees = [n for n, row in enumerate(rows) if row.category == "trees"]
        assert searched(reading, RowFilter(category="trees")) == of_trees
        both = [n for n in of_trees if "7" in rows[n].messages[0].content + rows[n].expected]
        assert searched(reading, RowFilter("7", "trees")) == both
    assert pattern_fault("(") and not pattern_fault("(a|b)+")


def test_a_search_can_be_stopped_and_keeps_what_it_found(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "many.jsonl", 100_000)
    reading = DataModel(SourceRequest(str(path))).start()
    until(lambda: len(reading) > 0)
    assert isinstance(entry(reading, 0), Row)
    until(lambda: reading.indexed)
    assert len(reading) == 100_000 and isinstance(entry(reading, 99_999), Row)
    selection = FilteredRows(reading, RowFilter("question"))
    assert selection.told().startswith("searching, ")
    until(lambda: len(selection) > 0)
    selection.stop()
    count = len(selection)
    assert 0 < count and selection.told().startswith("stopped at ")
    assert selection[count - 1] == count - 1 and selection[count] is None
    reading.stop()
    reading._thread.join()


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with opened(tmp_path / "none") as reading:
        assert "file not found" in str(reading.found.findings[0]) and len(reading) == 0
        write_rows(tmp_path / "none", 1)
        until(lambda: reading.replaced)
    with opened(tmp_path, "nonsense") as reading:
        assert "unknown format 'nonsense'" in reading.trouble


def test_a_growing_file_is_followed_and_a_replaced_one_noticed(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", 3)
    with opened(path) as reading:
        write_rows(path, 5, start=3)
        until(lambda: len(reading) == 8)
        assert entry(reading, 7).place.line == 8
        until(lambda: reading.generation == 1 and reading.done)
        assert reading.found.rows == 8 and not reading.replaced
        os.truncate(path, 100)
        until(lambda: reading.replaced)
        assert isinstance(entry(reading, 6), (Row, Fault))


def test_a_file_more_in_the_folder_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    write_rows(folder / "a.jsonl", 2)
    with opened(folder) as reading:
        (folder / ".hidden").write_text("x")
        write_rows(folder / "b.jsonl", 2)
        until(lambda: reading.replaced)


def test_a_row_that_takes_long_holds_nobody_up() -> None:
    free = threading.Event()

    def slow(number: int, count: int) -> list[Entry]:
        free.wait(LIMIT_S)
        return [Row(Place("x", n), text="y" * 100) for n in range(number, number + count)]

    news: list[int] = []
    late: list[int] = []
    fetching = RowLoader(slow, lambda: news.append(1), lambda: late.append(len(news)))
    assert [fetching.entry(number) for number in range(40)] == [None] * 40
    free.set()
    until(lambda: len(news) == 40)
    assert late == [1], "told once, with the first that was asked for in vain"
    found = fetching.entry(39)
    assert isinstance(found, Row) and found.place.line == 39
    until(lambda: fetching.entry(70, in_order=True) is not None)
    assert set(range(64, 96)) < set(fetching._kept) and 97 not in fetching._kept
    fetching.ahead(150, 200)
    until(lambda: {128, 150, 200, 223} < set(fetching._kept))
    fetching.forget()
    assert fetching.entry(39) is not found
    fetching.close()
    assert fetching.entry(3) is None


def test_the_last_of_the_rows_wished_for_is_read_ahead() -> None:
    free = threading.Event()

    def slow(number: int, count: int) -> list[Entry]:
        free.wait(LIMIT_S)
        return [Row(Place("x", n), text="y") for n in range(number, number + count)]

    fetching = RowLoader(slow, lambda: None)
    for typed in (5, 53, 538, 5382):  # a digit after the other, the first is being read meanwhile
        fetching.ahead(typed, typed + 3)
    free.set()
    until(lambda: {5, 5382, 5385} < set(fetching._kept))
    assert not {53, 538} & set(fetching._kept)
    fetching.close()


def test_few_long_rows_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.tui.panes.data.row_loader.MAX_CHARS", 250)
    fetching = RowLoader(lambda n, _: [Row(Place("x", n), text="y" * 100)], lambda: None)
    for number in range(10):
        until(lambda n=number: fetching.entry(n) is not None)  # type: ignore[misc]
    assert list(fetching._kept) == [8, 9]
    fetching.close()


def test_tokens_come_from_a_process_of_their_own() -> None:
    row = Row(Place("x", 1), (Message("user", "ü 🙂"), Message("assistant", "漢字")))
    question = Row(Place("x", 1), (Message("user", "only a question"),))
    looking = TokenPreviews("quickstart", lambda: None)
    until(lambda: looking.look(row) is not None)
    assert looking.look(row) == load_preview("quickstart").look(row)
    until(lambda: looking.look(question) is not None)
    assert "no message of the row" in str(looking.look(question))
    looking.stop()
    none = TokenPreviews("blop-gemma-2b", lambda: None)
    until(lambda: bool(none.trouble))
    assert "is not downloaded yet" in str(none.look(row))
    none.stop()


def test_figures_count_categories_split_and_lengths(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", 30)
    with open(path, "a") as file:
        file.write(path.read_text().splitlines()[0] + "\n{}\n")
        file.write(json.dumps({"prompt": "x", "completion": "word " * 800}) + "\n")
    with opened(path) as reading:
        counting = LengthCounts(reading, "quickstart", lambda: None)
        until(lambda: counting.done)
        lines = [line.plain for line in figure_lines(reading, counting, 80)]
        counting.stop()
    assert lines[0].startswith("33 rows, 1 file: ")
    assert any(line.split()[:2] == ["1", "duplicate"] for line in lines)
    (head,) = (line for line in lines if line.startswith("Category"))
    assert head.split() == ["Category", "rows", "train", "validation", "repeated"]
    loops, rows, train, validation, repeated, *_ = next(
        line.split() for line in lines if line.startswith("loops")
    )
    assert (rows, repeated) == ("11", "1") and int(train) + int(validation) == 10
    assert "all rows" in lines, "\n".join(lines)
    assert "! 1 of 32 exceed sequence_length = 512" in lines
    assert sum("sequence_length 512" in line for line in lines) == 1


def test_painted_tokens_hold_no_control_characters_and_fit() -> None:
    pieces = (
        PreviewToken(HOSTILE, (1,), True, False, False),
        PreviewToken("漢" * 30 + "\n\tz", (2,), False, True, False),
        PreviewToken("gone", (3,), True, False, True),
    )
    row = Row(Place("x", 1), text="x", labels=((HOSTILE, HOSTILE),), tags=(HOSTILE,))
    lines = token_lines(row, RowPreview(pieces, 3, 1, 2), 22, bounds=True, notes=[HOSTILE])
    assert "\x1b" not in "".join(line.plain for line in lines)
    narrow = [line for line in lines[1:] if "length limit" not in line.plain]
    assert all(line.cell_len <= 23 for line in narrow)  # the sign for a line's end apart
    assert any(TRAINED in str(span.style) for line in lines for span in line.spans)
    edges = [line.plain[:1] for line in lines]
    assert "▌" in edges and " " in edges
    assert "── sequence length limit ──" in [line.plain for line in lines]
    plain = plain_lines(row, 22, [HOSTILE])
    assert "\x1b" not in "".join(line.plain for line in plain)
