"""What a conversation is held with: a file loaded here, or a model that a server holds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from workbench.inference.logprobs__chat_alternatives import Drawn
from workbench.core.sampling import Sampling
from workbench.inference.generation import Answer
from workbench.dataset.rows import Message
from workbench.tokenization.chat_template import ChatTemplate

if TYPE_CHECKING:
    from workbench.inference.chat_model__chat_source import Source


class Talker(Protocol):
    """Answers one question at a time; `cancel` may be called from any thread."""

    @property
    def last_answer(self) -> Answer | None: ...

    @property
    def context(self) -> int:
        """Tokens that prompt and answer may have together."""
        ...

    def stream(
        self, messages: Sequence[Message], sampling: Sampling, stop: Sequence[str] = ()
    ) -> Iterator[str]:
        """The answer as it is written; `last_answer` holds it at the end. Raises UserError."""
        ...

    def alternatives(self, top: int = 4) -> list[Drawn]:
        """The last answer's tokens and their rivals. Raises UserError where none can be had."""
        ...

    def cancel(self) -> None: ...

    def close(self) -> None: ...


class Opens(Protocol):
    """Where a talker comes from; see `Source`."""

    @property
    def label(self) -> str: ...

    @property
    def newer(self) -> Callable[[], Source | None] | None: ...

    def open(
        self,
        *,
        context: int,
        threads: int | None = None,
        log_file: Path | None = None,
        template: ChatTemplate | None = None,
        trusted: Collection[str] = (),
    ) -> Talker: ...
