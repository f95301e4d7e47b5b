"""What a model of a chat is opened from, and what takes its place between two answers."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from workbench.inference.gguf_check import vouch
from workbench.inference.session import Session
from workbench.tokenization.chat_template import ChatTemplate


@dataclass(frozen=True)
class Source:
    """A GGUF and, on it, a LoRA GGUF. `label` says which weights they are.

    `sha256`: the GGUF's, where its maker vouches for it. `newer` gives the source in whose place
    this one has become old, None while there is none; it may take a second.
    """

    gguf: Path
    adapter: Path | None = None
    label: str = ""
    sha256: str = ""
    newer: Callable[[], Source | None] | None = None

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
        vouch(self.gguf, trusted=[*trusted, self.sha256] if self.sha256 else trusted)
        return Session.open(
            self.gguf,
            context=context,
            threads=threads,
            log_file=log_file,
            template=template,
            adapter=self.adapter,
        )
