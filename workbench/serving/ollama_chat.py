"""A conversation with a model that an Ollama server holds, under the same terms as one held here.

The template is the server's own. Stop texts are looked for here as well, so that they end an answer
wherever tokens cut them; who cancels hangs up, which ends the writing there, too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.core.errors import RunFailed, UserError
from workbench.core.sampling import SamplingParams
from workbench.dataset.rows import Message
from workbench.inference.generation import Completion, FinishReason
from workbench.inference.stop_sequences import TextStream
from workbench.serving.ollama_client import OllamaClient, options

if TYPE_CHECKING:
    from workbench.inference.chat_model import GgufSource
    from workbench.inference.logprobs import TokenLogprob

PREFIX = "ollama:"


@dataclass(frozen=True)
class OllamaSource:
    """A model of the server, by its name there."""

    name: str
    label: str = ""
    newer: Callable[[], GgufSource | None] | None = None

    def open(self, *, context: int, **_of_files: Any) -> OllamaChatModel:
        """Raises UserError when no server answers."""
        return OllamaChatModel(self.name, context)


class OllamaChatModel:
    """Answers by the server that `OLLAMA_HOST` names; close it."""

    def __init__(self, name: str, context: int) -> None:
        self.name, self.context = name, context
        self._cancelled = threading.Event()
        self.last_answer: Completion | None = None
        self._server = OllamaClient()
        try:
            self._server.version()
        except RunFailed as error:
            self.close()
            raise UserError(str(error)) from error

    def stream(
        self, messages: Sequence[Message], sampling: SamplingParams, stop: Sequence[str] = ()
    ) -> Iterator[str]:
        """The answer as it is written. Raises UserError for whatever the server says or does."""
        self._cancelled.clear()
        return self._stream(messages, sampling, stop)

    def _stream(
        self, messages: Sequence[Message], sampling: SamplingParams, stop: Sequence[str]
    ) -> Generator[str, None, None]:
        request = {
            "model": self.name,
            "messages": [{"role": m.role, "content": m.content} for m in messages],
            "options": options(sampling, stop, self.context),
        }
        writing, parts = TextStream(stop), []
        answer = _StreamStats()
        try:
            for piece in self._server.chat(**request):
                answer.take(piece)
                parts.append(writing.push((piece.message.content or "").encode(errors="replace")))
                if parts[-1]:
                    yield parts[-1]
                if writing.stopped or self._cancelled.is_set():
                    break
        except RunFailed as error:
            raise UserError(str(error)) from error
        parts.append(writing.finish())
        if parts[-1]:
            yield parts[-1]
        ending: FinishReason = (
            "stop" if writing.stopped else answer.ending(self._cancelled.is_set())
        )
        self.last_answer = answer.answer("".join(parts), ending)

    def alternatives(self, top: int = 4) -> list[TokenLogprob]:
        raise UserError(f"{PREFIX}{self.name} does not report alternative tokens")

    def cancel(self) -> None:
        """End the answer with the next word that comes."""
        self._cancelled.set()

    def close(self) -> None:
        self._server.__exit__(None, None, None)


class _StreamStats:
    """What the server's pieces tell beside the text."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._first_s = 0.0
        self._pieces = 0
        self._last: Any = None

    def take(self, piece: Any) -> None:
        self._first_s = self._first_s or time.perf_counter() - self._began
        self._pieces += bool(piece.message.content)
        self._last = piece

    def ending(self, cancelled: bool) -> FinishReason:
        if self._last is None or not self._last.done:
            return "cancelled" if cancelled else "length"
        return "length" if self._last.done_reason == "length" else "stop"

    def answer(self, text: str, ending: FinishReason) -> Completion:
        return Completion(
            text=text,
            stopped=ending,
            n_tokens=getattr(self._last, "eval_count", None) or self._pieces,
            elapsed_s=time.perf_counter() - self._began,
            prompt_tokens=getattr(self._last, "prompt_eval_count", None) or 0,
            first_token_s=self._first_s,
        )
