"""Where a message is typed: Enter sends it, a backslash at the end or alt+enter goes on."""

from __future__ import annotations

from textual import events
from textual.message import Message
from textual.widgets import TextArea


class PromptInput(TextArea):
    """Grows with its text up to six lines; the up key in an empty one has the last message."""

    DEFAULT_CSS = """
    PromptInput, PromptInput:focus {
        height: auto; max-height: 6; border: none; padding: 0 1; background: $panel;
    }
    """

    class Sent(Message):
        """A message to be asked."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text_sent = text

    def __init__(self, id: str | None = None) -> None:
        super().__init__(
            id=id, highlight_cursor_line=False, placeholder="Type a message; Enter sends"
        )
        self.last_sent = ""

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self._enter()
        elif event.key == "alt+enter":
            event.stop()
            event.prevent_default()
            self.insert("\n")
        elif event.key == "up" and not self.text and self.last_sent:
            event.stop()
            event.prevent_default()
            self.put(self.last_sent)
        else:
            await super()._on_key(event)

    def put(self, text: str) -> None:
        """Replace what is typed, the cursor behind it."""
        self.text = text
        self.move_cursor(self.document.end)

    def _enter(self) -> None:
        if self.text.endswith("\\"):
            row, column = self.document.end
            self.replace("\n", (row, column - 1), (row, column))
            return
        if self.text.strip():
            self.post_message(self.Sent(self.text))
