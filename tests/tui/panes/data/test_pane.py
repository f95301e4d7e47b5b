"""The Data pane: every action by its key, on rows that are good, bad and hostile."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.tui.helpers import HOSTILE, on_screen, text_of, until
from tests.tui.panes.data.test_model import write_rows
from workbench.dataset.rows import Row
from workbench.tui import terminal
from workbench.tui.app import WorkbenchApp
from workbench.tui.panes.data.pane import DataPane
from workbench.tui.panes.data.row_table import DataRows, Findings
from workbench.tui.panes.data.row_view import RowView
from workbench.tui.widgets.row_list import TextLines

LIMIT_S = 30.0
Story = Callable[[Pilot[None], WorkbenchApp, DataPane], Awaitable[None]]
GOOD_AND_BAD = '{"prompt": "a", "completion": "b"}\n{"prompt": 7}\n' * 2


def in_data(path: Path, story: Story, size: tuple[int, int] = (80, 24)) -> None:
    """Open the screen with the data set, wait until all of it was looked at, live the story."""

    async def with_pane(pilot: Pilot[None], app: WorkbenchApp) -> None:
        app.memory.data = str(path)
        pane = await app.go("data")
        assert isinstance(pane, DataPane)
        await until(pilot, lambda: pane.reading is not None and pane.reading.done, LIMIT_S)
        await until(pilot, lambda: " trained" in text_of(app) or "error, " in text_of(app), LIMIT_S)
        await until(pilot, lambda: " checking " not in text_of(app))
        await story(pilot, app, pane)

    on_screen(with_pane, size)


def shown(pane: DataPane) -> int:
    return len(pane.selection or ())


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (160, 48)])
def test_rows_tokens_filter_and_figures(tmp_path: Path, size: tuple[int, int]) -> None:
    path = write_rows(tmp_path / "rows.jsonl", 500)

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: DataPane) -> None:
        rows = pane.query_one(DataRows)
        assert "500 rows" in text_of(app) and "<|im_start|>" in text_of(app)
        await pilot.press("G")
        await until(pilot, lambda: "rows.jsonl:500" in text_of(app))
        await pilot.press("slash", *"answer.4.9$", "enter")
        await until(pilot, lambda: shown(pane) == 10)
        await pilot.press("c", *"tre", "enter")
        await until(pilot, lambda: not pane.selection.busy and "trees" in text_of(app))  # type: ignore[union-attr]
        chosen = rows.chosen
        assert 0 < shown(pane) < 10 and isinstance(chosen, Row) and chosen.category == "trees"
        await pilot.press("escape")
        assert shown(pane) == 500
        await pilot.press("s")
        await until(pilot, lambda: "min " in text_of(app), LIMIT_S)
        await until(pilot, lambda: "validation" in text_of(app))
        await pilot.press("escape", "enter", "G", "enter")
        assert rows.has_focus

    in_data(path, story, size)


def test_a_row_is_gone_to_by_its_number(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", 2000)

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: DataPane) -> None:
        await pilot.press("#", *" ,", "enter")
        assert pane.query_one(DataRows).chosen_number == 0
        await pilot.press("#", *"2,001", "enter")
        assert "enter a number from 1 to 2,000" in text_of(app)
        await pilot.press("ctrl+u", *"277", "enter")
        await until(pilot, lambda: "rows.jsonl:277" in text_of(app))
        assert pane.query_one(DataRows).chosen_number == 276

    in_data(path, story)


def test_a_search_that_runs_is_stopped_by_escape(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", 3)
    with open(path, "a") as file:
        file.write(json.dumps({"prompt": "x" * 50, "completion": "takes for ever"}) + "\n")

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: DataPane) -> None:
        await pilot.press("slash", *"(x*x*)*y", "enter")
        await until(pilot, lambda: "searching, " in text_of(app))
        await pilot.press("escape")
        assert "stopped at " in text_of(app) and shown(pane) == 0
        await pilot.press("escape")
        assert shown(pane) == 4

    in_data(path, story)


def test_findings_lead_to_their_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(GOOD_AND_BAD)
    opened: list[tuple[Path, int]] = []
    monkeypatch.setattr(terminal, "edit", lambda app, path, line: opened.append((path, line)))

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: DataPane) -> None:
        assert "2 errors  1 duplicate" in text_of(app)
        await pilot.press("x")
        assert shown(pane) == 3
        await pilot.press("f")
        findings = pane.query_one(Findings)
        assert findings.has_focus and "'prompt' is a number" in text_of(app)
        assert "error, wrong-type: a field with the wrong type" in text_of(app)
        await pilot.press("j", "e")
        assert opened == [(path, 4)] and pane.copied()[1] == "the findings"
        await pilot.press("G")
        await until(pilot, lambda: " trained" in text_of(app))  # the duplicate is a row
        await pilot.press("f", "escape")
        assert shown(pane) == 4

    in_data(path, story)


def test_a_faulty_row_stands_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(GOOD_AND_BAD)

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: DataPane) -> None:
        await pilot.press("j")
        await until(pilot, lambda: "rows.jsonl:2  press e to open it" in text_of(app))
        text, what = pane.copied()
        assert text.endswith("not a string") and what == "the finding"

    in_data(path, story)


def test_the_pane_follows_the_file(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", 5)

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: DataPane) -> None:
        await pilot.press("j")
        write_rows(path, 3, start=5)
        await until(pilot, lambda: "8 rows" in text_of(app))
        assert pane.copied()[0].startswith("user:\nquestion 1")
        path.unlink()
        write_rows(path, 2)
        await until(pilot, lambda: "2 rows" in text_of(app))
        assert "changed on disk; reloading" in text_of(app)
        await until(pilot, lambda: "question 1" in pane.copied()[0])

    in_data(path, story)


def test_text_from_the_data_is_no_escape_sequence(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    row = {"prompt": HOSTILE, "completion": HOSTILE, "category": f"[b]{HOSTILE}"}
    path.write_text(json.dumps(row) + "\n" + json.dumps({"prompt": "x", HOSTILE: HOSTILE}) + "\n")

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: DataPane) -> None:
        seen = []
        for keys in ("s", "s", "f", "f", "j", "b", "k", "b", "x", "c"):
            await pilot.press(keys)
            seen.append(text_of(app))
        text = "\n".join(seen)
        assert "\x1b" not in text and "\\x1b" in text and "[bold red]" in text

    in_data(path, story)


def test_sources_of_the_preset_are_offered(tmp_path: Path) -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: DataPane) -> None:
        await pilot.press("o")
        await until(pilot, lambda: "Open which source of quickstart?" in text_of(app))
        assert "examples" in text_of(app) and "evaluate.prompts" in text_of(app)
        await pilot.press(*"prompts", "enter")
        await until(pilot, lambda: "heldout.jsonl" in text_of(app))
        assert pane.named and not pane.named.source.answers

    in_data(write_rows(tmp_path / "rows.jsonl", 5), story)


def test_a_path_is_opened_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.txt").write_text("one\n<|endoftext|>\ntwo\n")

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: DataPane) -> None:
        await pilot.press("O", "ctrl+u", *"two.txt", "enter")
        await until(pilot, lambda: "2 rows" in text_of(app) and "chars text" in text_of(app))
        before = pane.reading
        await pilot.press("r")
        assert pane.reading is not before
        await until(pilot, lambda: "2 rows" in text_of(app))
        await pilot.press("enter")
        assert pane.query_one(RowView).query_one(TextLines).has_focus

    in_data(write_rows(tmp_path / "rows.jsonl", 5), story)
