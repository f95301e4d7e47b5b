"""One answer being written: a sampler, the text so far, and why it ended.

Shared by a conversation (`Session`) and by many prompts at once (`batch`), so that both stop,
count and hold text back in the same way.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from workbench.inference.llama_model import NativeModel
from workbench.inference.generation__chat_sampler import Sampler
from workbench.core.sampling import Sampling
from workbench.inference.stop_sequences import TextStream

Ending = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True)
class Answer:
    """A finished answer. `stopped` says why: by itself (`stop`), a limit, or somebody's wish.

    `n_tokens` counts what was drawn, the ending token included; `prompt_tokens` of which
    `cached_tokens` were not read again; `first_token_s` is the time until the first draw.
    """

    text: str
    stopped: Ending
    n_tokens: int
    elapsed_s: float
    prompt_tokens: int
    cached_tokens: int = 0
    first_token_s: float = 0.0
    context_full: bool = False

    @property
    def tokens_per_second(self) -> float:
        """Speed of writing, the reading of the prompt apart; 0 before there is a second token."""
        writing_s = self.elapsed_s - self.first_token_s
        return (self.n_tokens - 1) / writing_s if self.n_tokens > 1 and writing_s > 0 else 0.0


class Writing:
    """The answer to `prompt`, which must fit `capacity` with one token to spare. Close it."""

    def __init__(
        self,
        model: NativeModel,
        prompt: Sequence[int],
        sampling: Sampling,
        stop: Sequence[str],
        *,
        capacity: int,
        cached_tokens: int = 0,
    ) -> None:
        self._model, self._sampler = model, Sampler(model, sampling)
        self._sampler.read(prompt)
        self._stream, self._stop_names = TextStream(stop), {name.encode() for name in stop}
        self._limit = min(sampling.max_tokens, capacity - len(prompt))
        self._context_full = self._limit < sampling.max_tokens
        self._prompt_tokens, self._cached_tokens = len(prompt), cached_tokens
        self._parts: list[str] = []
        self._started = time.perf_counter()
        self._first_token_s = 0.0
        self._n_tokens = 0
        self.ids: list[int] = []
        self.ending: Ending | None = None
        self.last_token = -1

    def draw(self, context: object, row: int) -> str:
        """Draw the next token and return what text it makes certain; sets `ending` at the end."""
        token = self.last_token = self._sampler.draw(context, row)
        self.ids.append(token)
        self._n_tokens += 1
        if self._n_tokens == 1:
            self._first_token_s = time.perf_counter() - self._started
        shown = "" if self._is_end(token) else self._show(token)
        if self._stream.stopped:
            self.ending = "stop"
        if self.ending is None and self._n_tokens >= self._limit:
            self.ending = "length"
        if self.ending is not None:
            shown += self._stream.finish()
        self._parts.append(shown)
        return shown

    def _is_end(self, token: int) -> bool:
        if self._model.ends(token):
            self.ending = "stop"
        return self.ending is not None

    def _show(self, token: int) -> str:
        """Control tokens are not text; one that is named as a stop text stops."""
        piece = self._model.piece(token)
        if token not in self._model.control_tokens:
            return self._stream.push(piece)
        if piece in self._stop_names:
            self.ending = "stop"
        return ""

    def cancel(self) -> str:
        """End here; returns what was held back."""
        self.ending = "cancelled"
        shown = self._stream.finish()
        self._parts.append(shown)
        return shown

    def answer(self) -> Answer:
        """The finished answer; only once `ending` is set."""
        assert self.ending is not None
        return Answer(
            text="".join(self._parts),
            stopped=self.ending,
            n_tokens=self._n_tokens,
            elapsed_s=time.perf_counter() - self._started,
            prompt_tokens=self._prompt_tokens,
            cached_tokens=self._cached_tokens,
            first_token_s=self._first_token_s,
            context_full=self._context_full and self.ending == "length",
        )

    def close(self) -> None:
        self._sampler.close()
