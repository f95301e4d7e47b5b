"""Every pane and the main dialogs at four sizes in two themes, against stored pages.

`make snapshots` (`UPDATE_SNAPSHOTS=1 python -m pytest tests/tui/test_snapshots.py`) writes the
pages anew; look at the difference before you keep it. `SNAPSHOT_PICTURES=FOLDER` saves each screen
as an SVG besides. What a page holds is told in `pages.py`, what it shows is made in `workplace.py`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.tui.helpers import on_screen, text_of, until
from tests.tui.pages import Look, differences, look, page
from tests.tui.workplace import Workplace, workplace
from workbench.core.paths import state_folder
from workbench.tui.app import WorkbenchApp
from workbench.tui.pane_list import PANES
from workbench.tui.panes.chat.pane import ChatPane
from workbench.tui.panes.chat.prompt_input import PromptInput
from workbench.tui.panes.data.pane import DataPane
from workbench.tui.saved_state import SavedState, save_state

PAGES = Path(__file__).with_name("snapshots")
SIZES = ((60, 20), (80, 24), (120, 40), (200, 60))
THEMES = ("workbench-dark", "ansi-dark")
UNDER_WAY = re.compile(r"(reading|counting|checking|loading|waiting)\b.*(\.\.\.|…)|\n +\.\.\. ")
COVERING = ("dialog-palette",)  # hides what lies below, in each theme other parts of it
CALM = 3  # times that the screen must look the same, one after the other
UPDATE = bool(os.environ.get("UPDATE_SNAPSHOTS"))
PICTURES = os.environ.get("SNAPSHOT_PICTURES", "")

Way = Callable[[Pilot[None], WorkbenchApp], Awaitable[object]]


def keys(*pressed: str, ready: str, run: str = "loans-1") -> Way:
    """Choose the run, press the keys, wait until the words are there."""

    async def way(pilot: Pilot[None], app: WorkbenchApp) -> None:
        app.choose(next((one for one in app.watching.runs if one.name == run), None))
        await pilot.pause()
        for key in pressed:
            await pilot.press(key)
        await until(pilot, lambda: ready in text_of(app), 30)

    return way


async def runs(pilot: Pilot[None], app: WorkbenchApp) -> None:
    await keys("p", ready="loans-4")(pilot, app)


async def talk(pilot: Pilot[None], app: WorkbenchApp) -> None:
    """Both models asked the same, in the real way."""
    await keys("6", "enter", ready="loans-1")(pilot, app)
    pane = app.query_one(ChatPane)
    await until(pilot, lambda: bool(pane.sides) and not pane.busy, 30)
    await pilot.press("f3")
    await until(pilot, lambda: len(pane.sides) == 2 and not pane.busy, 30)
    pane.query_one(PromptInput).put("Please write a component for a loan.")
    await pilot.press("enter")
    await until(pilot, lambda: not pane.busy and all(side.exchanges for side in pane.sides), 30)
    await until(pilot, lambda: text_of(app).count("1,234 tok/s") == 2)


async def form(pilot: Pilot[None], app: WorkbenchApp) -> None:
    app.memory.preset = "presets/loans.toml"
    await keys("3", ready="MiB of")(pilot, app)


async def data(pilot: Pilot[None], app: WorkbenchApp) -> None:
    app.memory.preset, app.memory.data = "presets/loans.toml", "faulty.jsonl"
    await keys("2", ready=" trained")(pilot, app)
    await until(pilot, lambda: app.query_one(DataPane).reading.done)  # type: ignore[union-attr]


SCREENS: dict[str, Way] = {
    "runs": runs,
    "runs-compare": keys("p", "k", "c", ready="training rows"),
    "train": keys("p", "k", "4", ready="━ val"),
    "train-busy-log": keys("4", "l", "w", run="loans-5", ready="loans-5"),
    "data": data,
    "preset": form,
    "export": keys("5", ready="q4_k_m"),
    "chat": talk,
    "evaluate": keys("7", ready="verdicts: "),
    "evaluate-case": keys("7", "n", ready="fails"),
    "dialog-help": keys("question_mark", ready="Keys in Runs"),
    "dialog-palette": keys("ctrl+p", ready="Go to Runs"),
    "dialog-confirm": keys("d", ready="cannot be undone"),
    "dialog-picker": keys("n", ready="Start a run"),
}


@pytest.fixture(scope="module")
def place() -> Iterator[Workplace]:
    with workplace() as made:
        yield made


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", SCREENS)
def test_screen(
    name: str, size: tuple[int, int], place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.enter(monkeypatch)
    check(name, size, SCREENS[name], place.plain)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_nothing_yet(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.tui.app.__version__", "1.2.3")
    check("empty", size, keys(ready="No runs yet"), lambda text: text)


def test_every_pane_has_its_pages_and_every_page_its_screen() -> None:
    assert {spec.id for spec in PANES} <= {name.partition("-")[0] for name in SCREENS}
    names = {f"{name}-{w}x{h}.txt" for name in [*SCREENS, "empty"] for w, h in SIZES}
    stored = {path.name for path in PAGES.glob("*")}
    if UPDATE:
        for name in stored - names:
            (PAGES / name).unlink()
        stored &= names
    assert stored == names


def check(name: str, size: tuple[int, int], way: Way, plain: Callable[[str], str]) -> None:
    """Go there, look in every theme, compare with the stored page."""
    looks: dict[str, Look] = {}
    # No theme can be chosen below a dialog, and Textual may leave a line below it empty then.
    anew = name.startswith("dialog-") or name == "runs-compare"

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await way(pilot, app)
        for theme in [app.theme] if anew else THEMES:
            app.theme = theme
            await settled(pilot, app)
            looks[theme] = look(app)
            picture(app, f"{name}-{size[0]}x{size[1]}-{theme}")

    for theme in THEMES if anew else THEMES[:1]:
        save_state(state_folder(), SavedState(theme=theme))
        on_screen(story, size)
    where = f"{name} at {size[0]}x{size[1]}"
    stored = PAGES / f"{name}-{size[0]}x{size[1]}.txt"
    seen = plain(page(looks, same_text=name not in COVERING))
    if UPDATE:
        stored.write_text(seen, "utf-8")
    told = differences(stored.read_text("utf-8"), seen, where)
    assert not told, "\n".join([*told, "make snapshots writes the pages anew"])


async def settled(pilot: Pilot[None], app: WorkbenchApp) -> None:
    """Wait until nothing goes on in the background and the screen is the same for a while."""
    await until(pilot, lambda: all(worker.is_finished for worker in app.workers), 30)
    await until(pilot, lambda: not UNDER_WAY.search(text_of(app)), 30)
    before: object = None
    calm = 0
    for _ in range(300):
        app.poll()
        await pilot.pause(0.02)
        now = look(app)
        calm = calm + 1 if now == before else 0
        if calm >= CALM:
            return
        before = now
    raise AssertionError("the screen does not come to rest")


def picture(app: WorkbenchApp, name: str) -> None:
    if PICTURES:
        Path(PICTURES).mkdir(parents=True, exist_ok=True)
        Path(PICTURES, f"{name}.svg").write_text(app.export_screenshot(), "utf-8")
