"""From token bytes to text that may be shown: UTF-8 put together, stop texts found and held back.

Invariant: what comes out joined is the text before the stop text that is complete first, however
tokens cut it; no part of that stop text is handed out. Text is held back only while it may still
become a stop text.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from workbench.core.errors import UserError


class TextStream:
    """Feed it the bytes of each token; it returns the text that is safe to show.

    After `stopped` turned true nothing more comes. Bytes that are no UTF-8 become U+FFFD.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        if "" in stop:
            raise UserError("an empty stop string would end every response immediately")
        self._stop = tuple(stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""
        self.stopped = False

    def push(self, piece: bytes) -> str:
        """The text that became certain through this token's bytes; often `""`."""
        return self._take(self._decoder.decode(piece))

    def finish(self) -> str:
        """What was still held back, once no token will follow."""
        text = self._take(self._decoder.decode(b"", final=True))
        rest, self._held = self._held, ""
        return text if self.stopped else text + rest

    def _take(self, text: str) -> str:
        if self.stopped:
            return ""
        if not self._stop:
            return text
        self._held += text
        at = first_stop(self._held, self._stop)
        if at is not None:
            self.stopped = True
            shown, self._held = self._held[:at], ""
            return shown
        keep = longest_partial_stop(self._held, self._stop)
        split = len(self._held) - keep
        shown, self._held = self._held[:split], self._held[split:]
        return shown


def first_stop(text: str, stop: Sequence[str]) -> int | None:
    """Where the stop text that is complete first begins, or None; of two, the longer one."""
    found = [(at + len(word), at) for word in stop if (at := text.find(word)) >= 0]
    return min(found)[1] if found else None


def longest_partial_stop(text: str, stop: Sequence[str]) -> int:
    """Length of the longest end of `text` that a stop text begins with (and goes beyond)."""
    longest = 0
    for word in stop:
        for length in range(min(len(word) - 1, len(text)), longest, -1):
            if text.endswith(word[:length]):
                longest = length
                break
    return longest
