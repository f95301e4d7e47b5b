"""A data set on the screen: rows at once, tokens as training sees them, nothing left out."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.tui.helpers import HOSTILE, on_screen, text_of, until
from workbench.lens.lens import Piece, Shown
from workbench.tui import editor
from workbench.tui.app import WorkbenchApp
from workbench.tui.dataview.painting import TRAINED, figure_lines, token_lines
from workbench.tui.dataview.reading import DataReading
from workbench.tui.dataview.selection import Selection, Wanted, pattern_fault
from workbench.tui.panes.data import DataPane
from workbench.tui.widgets.datarows import DataRows, Findings


def write_rows(path: Path, count: int) -> Path:
    choose = random.Random(1)
    with open(path, "w") as file:
        for number in range(count):
            row = {
                "prompt": f"question {number} {choose.random()}",
                "completion": f"answer {number}",
                "category": ["loops", "words", "trees"][number % 3],
            }
            file.write(json.dumps(row) + "\n")
    return path


def read_whole(path: Path) -> DataReading:
    reading = DataReading(path).start()
    assert reading.wait(20)
    return reading


def test_all_rows_and_findings_are_read_with_their_marks(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"prompt": "a", "completion": "b"}, {"prompt": "a", "completion": "b"}]
    rows += [{"prompt": "a", "completion": "c"}, {"prompt": 7}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    reading = read_whole(path)
    assert [row.place.line for row in reading.rows] == [1, 2, 3]
    assert {place.line: mark for place, mark in reading.marks.items()} == {2: "=", 3: "!", 4: "✗"}
    assert len(reading.findings) == 3 and reading.kinds == "prompt-completion"
    assert not reading.changed_on_disk()
    path.write_text("x")
    assert reading.changed_on_disk()


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert "no such file" in str(read_whole(tmp_path / "none").findings[0])
    reading = DataReading(tmp_path, "nonsense").start()
    assert reading.wait(5) and "no format 'nonsense'" in reading.trouble


def test_a_hundred_thousand_rows_are_there_at_once_and_filtered_in_slices(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "many.jsonl", 100_000)
    began = time.perf_counter()
    reading = DataReading(path).start()
    while len(reading.rows) < 50:
        assert time.perf_counter() - began < 60, "no rows came"
    assert not reading.read
    while not reading.read:
        time.sleep(0.05)
    reading.stop()
    assert len(reading.rows) == 100_000
    selection = Selection(reading, Wanted(pattern="question 777.* 0", category="loops"))
    slices = 0
    while selection.behind:
        selection.advance()
        slices += 1
    assert slices > 1
    numbers = [selection[n] for n in range(len(selection))]
    assert numbers == [n for n in range(100_000) if str(n).startswith("777") and n % 3 == 0]


def test_a_filter_finds_what_a_plain_search_does(tmp_path: Path) -> None:
    reading = read_whole(write_rows(tmp_path / "rows.jsonl", 300))
    for wanted in (Wanted("ANSWER 1.$"), Wanted(category="trees"), Wanted("7", "words")):
        selection = Selection(reading, wanted)
        while selection.behind:
            selection.advance()
        found = {selection[n] for n in range(len(selection))}
        assert found and wanted.told()
        for number, row in enumerate(reading.rows):
            fits = not wanted.category or row.category == wanted.category
            if wanted.pattern == "7":
                fits = fits and "7" in row.messages[0].content + row.expected
            elif wanted.pattern:
                fits = row.expected in {f"answer {n}" for n in range(10, 20)}
            assert (number in found) == fits
    assert pattern_fault("(") and not pattern_fault("(a|b)+")


def test_painted_tokens_hold_no_control_characters_and_fit() -> None:
    pieces = [
        Piece(HOSTILE, (1,), True, False, False),
        Piece("漢" * 30 + "\n\tz", (2,), False, True, False),
    ]
    lines = token_lines(Shown(tuple(pieces), 2, 1, 10), 20, bounds=True)
    assert "\x1b" not in "".join(line.plain for line in lines)
    assert all(line.cell_len <= 21 for line in lines)  # the sign for a line's end apart
    assert any(TRAINED in str(span.style) for line in lines for span in line.spans)


def test_figures_count_categories_and_lengths(tmp_path: Path) -> None:
    reading = read_whole(write_rows(tmp_path / "rows.jsonl", 30))
    lines = [line.plain for line in figure_lines(reading, [5, 5, 90], 50, "all rows")]
    assert "30 rows, 1 file: " in lines[0]
    assert any(line.startswith("loops") and " 10 " in line for line in lines)
    assert "! 1 of 3 are longer than sequence_length = 50" in lines
    assert sum("sequence_length 50" in line for line in lines) == 1


def in_data(
    path: Path,
    story: Callable[[Pilot[None], WorkbenchApp, DataPane], Awaitable[None]],
    size: tuple[int, int] = (80, 24),
) -> None:
    async def with_pane(pilot: Pilot[None], app: WorkbenchApp) -> None:
        app.memory.data = str(path)
        pane = await app.go("data")
        assert isinstance(pane, DataPane)
        await until(pilot, lambda: pane.reading is not None and pane.reading.done)
        await until(pilot, lambda: "learnt" in text_of(app) or "This" in text_of(app))
        await until(pilot, lambda: "..." not in text_of(app).split("\n")[1])
        await story(pilot, app, pane)

    on_screen(with_pane, size)


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (160, 48)])
def test_rows_tokens_filter_and_figures(tmp_path: Path, size: tuple[int, int]) -> None:
    path = write_rows(tmp_path / "rows.jsonl", 500)

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: DataPane) -> None:
        rows = pane.query_one(DataRows)
        assert "500 rows" in text_of(app) and "<|im_start|>" in text_of(app)
        await pilot.press("G")
        await until(pilot, lambda: "rows.jsonl:500" in text_of(app))
        await pilot.press("slash", *"answer.4.9$", "enter")
        assert len(rows.selection or ()) == 10
        await pilot.press("c", *"tre", "enter")
        assert all(r.category == "trees" for r in [rows.chosen] if r)
        await pilot.press("escape")
        assert len(rows.selection or ()) == 500
        await pilot.press("s")
        await until(pilot, lambda: "shortest" in text_of(app))
        await pilot.press("escape", "enter", "G", "enter")
        assert rows.has_focus

    in_data(path, story, size)


def test_findings_lead_to_their_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "a", "completion": "b"}\n{"prompt": 7}\n' * 2)
    opened: list[tuple[Path, int]] = []
    monkeypatch.setattr(editor, "edit", lambda app, path, line: opened.append((path, line)))

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: DataPane) -> None:
        assert "✗ 2" in text_of(app) and "! 1" in text_of(app)
        await pilot.press("x")
        assert len(pane.selection or ()) == 1  # the duplicate; the others are no rows
        await pilot.press("f")
        findings = pane.query_one(Findings)
        assert findings.has_focus and "wrong-type" not in text_of(app)
        assert "'prompt' is a number" in text_of(app)
        await pilot.press("j", "e")
        assert opened == [(path, 4)]

    in_data(path, story)


def test_the_pane_follows_the_file(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", 5)

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: DataPane) -> None:
        write_rows(path, 8)
        await until(pilot, lambda: "8 rows" in text_of(app))
        assert pane.copied()[0].startswith("user:\nquestion 0")

    in_data(path, story)


def test_text_from_the_data_is_no_escape_sequence(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"prompt": HOSTILE, "completion": HOSTILE, "category": "[b]"}))

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: DataPane) -> None:
        await pilot.press("s", "s")
        text = text_of(app)
        assert "\x1b" not in text and "\\x1b" in text and "[bold red]" in text

    in_data(path, story)


def test_sources_of_the_preset_are_offered(tmp_path: Path) -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: DataPane) -> None:
        await pilot.press("o")
        await until(pilot, lambda: "Which source of quickstart?" in text_of(app))
        assert "examples" in text_of(app) and "evaluate.prompts" in text_of(app)
        await pilot.press(*"prompts", "enter")
        await until(pilot, lambda: "heldout.jsonl" in text_of(app))
        assert pane.source and not pane.source.answers

    in_data(write_rows(tmp_path / "rows.jsonl", 5), story)
