"""Keys that come together go where the first of them leads."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.keys import _character_to_key
from textual.widget import Widget
from textual.widgets import Input

from tests.tui.helpers import on_screen, three_runs, until
from tests.tui.pty_screen import PtyScreen
from workbench.tui.app import WorkbenchApp
from workbench.tui.dialogs.dialog import Entry
from workbench.tui.key_queue import LIMIT_S, OrderedKeysApp


def burst(app: OrderedKeysApp, text: str) -> None:
    """All keys at once, as a slow line brings them."""
    for character in text:
        app.post_message(events.Key(_character_to_key(character), character))


def test_what_is_typed_ahead_of_a_dialog_gets_into_it() -> None:
    runs = three_runs()

    async def story(pilot, app: WorkbenchApp) -> None:  # type: ignore[no-untyped-def]
        burst(app, "/spd7")  # by themselves: stop, pin, delete, another pane
        await until(pilot, lambda: bool(app.screen.query(Input)))
        await until(pilot, lambda: app.screen.query_one(Input).value == "spd7")
        assert isinstance(app.screen, Entry) and app.pinned == [] and app.pane_id == "runs"
        assert all(run.exists() for run in runs)

    on_screen(story)


def test_a_whole_errand_typed_at_once() -> None:
    three_runs()
    screen = PtyScreen()
    screen.until(b"stopped")
    screen.type("/fail\r4?")
    screen.until(b"Keys in Train")
    screen.type("qq")
    assert screen.end() == 0


class Vanishing(Widget, can_focus=True):
    """Is gone with the first key."""

    async def on_key(self, event: events.Key) -> None:
        if event.key == "x":
            await self.remove()


class Fragile(OrderedKeysApp):
    BINDINGS: ClassVar[list[BindingType]] = [("a", "note", "Note")]
    noted = 0

    def compose(self) -> ComposeResult:
        yield Vanishing()
        yield Vanishing()

    def action_note(self) -> None:
        self.noted += 1


def test_a_widget_that_goes_with_a_key_holds_up_no_other() -> None:
    async def live() -> int:
        app = Fragile()
        async with app.run_test() as pilot:
            burst(app, "xaaxaa")
            await pilot.pause(3 * LIMIT_S)
        return app.noted

    assert asyncio.run(live()) == 4
