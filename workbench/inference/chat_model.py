"""The model of a conversation: a file loaded here, or a model of a server; and how one is opened.

`ChatModel` is what a conversation asks; `ModelSource` opens one, and another in its place between
two answers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from workbench.core.sampling import SamplingParams
from workbench.dataset.rows import Message
from workbench.inference.generation import Completion
from workbench.inference.gguf_check import verify_loadable
from workbench.inference.logprobs import TokenLogprob
from workbench.inference.session import Session
from workbench.tokenization.chat_template import ChatTemplate

if TYPE_CHECKING:
    pass


class ChatModel(Protocol):
    """Answers one question at a time; `cancel` may be called from any thread."""

    @property
    def last_answer(self) -> Completion | None: ...

    @property
    def context(self) -> int:
        """Tokens that prompt and answer may have together."""
        ...

    def stream(
        self, messages: Sequence[Message], sampling: SamplingParams, stop: Sequence[str] = ()
    ) -> Iterator[str]:
        """The answer as it is written; `last_answer` holds it at the end. Raises UserError."""
        ...

    def alternatives(self, top: int = 4) -> list[TokenLogprob]:
        """The last answer's tokens and their rivals. Raises UserError where none can be had."""
        ...

    def cancel(self) -> None: ...

    def close(self) -> None: ...


class ModelSource(Protocol):
    """What a `ChatModel` is opened from; see `GgufSource`."""

    @property
    def label(self) -> str: ...

    @property
    def newer(self) -> Callable[[], GgufSource | None] | None: ...

    def open(
        self,
        *,
        context: int,
        threads: int | None = None,
        log_file: Path | None = None,
        template: ChatTemplate | None = None,
        trusted: Collection[str] = (),
    ) -> ChatModel: ...


@dataclass(frozen=True)
class GgufSource:
    """A GGUF and, on it, a LoRA GGUF. `label` says which weights they are.

    `sha256`: the GGUF's, where its maker vouches for it. `newer` gives the source in whose place
    this one has become old, None while there is none; it may take a second.
    """

    gguf: Path
    adapter: Path | None = None
    label: str = ""
    sha256: str = ""
    newer: Callable[[], GgufSource | None] | None = None

    def open(
        self,
        *,
        context: int,
        threads: int | None = None,
        log_file: Path | None = None,
        template: ChatTemplate | None = None,
        trusted: Collection[str] = (),
    ) -> Session:
        """The model, loaded. A child process opens it first unless its SHA-256 is trusted.

        Arguments as of `Session.open`. Raises UserError in one line for a file that is refused.
        """
        verify_loadable(self.gguf, trusted=[*trusted, self.sha256] if self.sha256 else trusted)
        return Session.open(
            self.gguf,
            context=context,
            threads=threads,
            log_file=log_file,
            template=template,
            adapter=self.adapter,
        )
