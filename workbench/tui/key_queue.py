"""Keys in their order: each has done its work before the next one is given away.

Textual hands a key to the widget that has the focus when the key comes. Of keys that come together
(a slow line, a paste into the terminal, a quick hand) the second would go to the old widget while
the first is still opening a dialog: `/` and then `s` would stop the run instead of looking for it.
"""

from __future__ import annotations

import asyncio
from collections import deque

from textual import events
from textual.app import App
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget

LIMIT_S = 0.5  # a key that takes longer, or whose widget is gone, holds up the others no more


class OrderedKeysApp(App[None], inherit_bindings=False):
    """An app whose keys wait for each other."""

    class Done(Message):
        """Follows a key through the same widgets: where it arrives, the key has been."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def __init__(self) -> None:
        super().__init__()
        self.keys_done = 0
        self._typed: deque[events.Key | events.Paste] = deque()
        self._busy: asyncio.TimerHandle | None = None
        self._place: tuple[Screen[object], Widget | None] | None = None

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, (events.Key, events.Paste)) and not event.is_forwarded:
            self._typed.append(event)
            if self._busy is None:
                await self._give_next()
        else:
            await super().on_event(event)

    async def on_ordered_keys_app_done(self, message: Done) -> None:
        """The key has been everywhere. What it has brought about, a message to a dialog or a new
        screen, is over once a second round finds the focus where the first one found it."""
        if message.number != self.keys_done:
            return  # of a key that was given up
        before, self._place = self._place, (self.screen, self.focused)
        if self._place == before:
            await self._go_on()
        else:
            (self.focused or self.screen).post_message(self.Done(self.keys_done))

    async def _give_next(self) -> None:
        self._place = None
        self._busy = asyncio.get_running_loop().call_later(LIMIT_S, self._give_up, self.keys_done)
        target = self.focused or self.screen
        await super().on_event(self._typed.popleft())
        target.post_message(self.Done(self.keys_done))

    async def _go_on(self) -> None:
        if self._busy:
            self._busy.cancel()
            self._busy = None
        self.keys_done += 1
        if self._typed:
            await self._give_next()

    def _give_up(self, number: int) -> None:
        self.call_later(self._go_on_without, number)

    async def _go_on_without(self, number: int) -> None:
        if number == self.keys_done:
            await self._go_on()
