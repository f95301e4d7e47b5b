"""Ctrl+C while a model writes: end the answer, keep the conversation."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from workbench.inference.chat_model import Talker


@contextmanager
def interrupt_cancels(session: Talker) -> Iterator[None]:
    """Ctrl+C ends the answer being written, between two tokens, instead of raising in mid-call."""

    def cancel(_number: int, _frame: Any) -> None:
        session.cancel()

    try:
        before = signal.signal(signal.SIGINT, cancel)
    except ValueError:  # not the main thread: whoever owns it decides
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
