"""The screen as a person sees it, line by line, against stored pages.

`UPDATE_SNAPSHOTS=1 python -m pytest tests/tui/test_snapshots.py` writes the pages anew; look at
the difference before you keep it. The line of panes at the top is left out.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.tui.helpers import on_screen, text_of, three_runs
from workbench.tui.app import WorkbenchApp

PAGES = Path(__file__).with_name("snapshots")
SMALL, WIDE = (80, 24), (160, 48)


def check(name: str, size: tuple[int, int], *keys: str) -> None:
    """Press the keys, compare the screen with the stored page."""
    seen: list[str] = []

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        for key in keys:
            await pilot.press(key)
        await pilot.pause(0.3)
        seen.append("\n".join(text_of(app).split("\n")[1:]) + "\n")

    on_screen(story, size)
    page = PAGES / f"{name}-{size[0]}x{size[1]}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        page.write_text(seen[0])
    assert seen[0] == page.read_text()


@pytest.mark.parametrize("size", [SMALL, WIDE])
def test_nothing_yet(size: tuple[int, int]) -> None:
    check("empty", size)


@pytest.mark.parametrize("size", [SMALL, WIDE])
def test_runs(size: tuple[int, int]) -> None:
    three_runs()
    check("runs", size, "j", "j", "p", "k")


@pytest.mark.parametrize("size", [SMALL, WIDE])
def test_train(size: tuple[int, int]) -> None:
    three_runs()
    check("train", size, "p", "j", "j", "4", "x")


def test_train_with_log_axis_and_worker_log() -> None:
    three_runs()
    check("train-log", SMALL, "j", "j", "4", "l", "w")
