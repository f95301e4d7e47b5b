"""A conversation with a GGUF through llama.cpp, in this process.

The cache of a conversation is kept: a second turn reads only what the first did not. One thread
may generate at a time; `cancel` may be called from any other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from workbench.core.errors import UserError
from workbench.core.sampling import SamplingParams
from workbench.dataset.rows import Message
from workbench.inference.decoder import BATCH_TOKENS, Aborted, Decoder, SequenceTokens
from workbench.inference.generation import Completion, Generation
from workbench.inference.llama_library import LOG
from workbench.inference.llama_model import LlamaAdapter, LlamaModel, apply_adapter
from workbench.inference.logprobs import PromptAndAnswer, TokenLogprob, token_logprobs
from workbench.inference.prompt_tokens import common_prefix, model_chat_template, prompt_ids
from workbench.tokenization.chat_template import ChatTemplate

CHAT = 0  # the one sequence of a session
SLOW_TOKEN_S = 0.05  # a model this slow is stopped amid a token, others after it


class Session:
    """One loaded model and one conversation's cache. Make it with `Session.open`."""

    def __init__(self, model: LlamaModel, decoder: Decoder, template: ChatTemplate | None) -> None:
        self.model, self._decoder, self._template = model, decoder, template
        self._fed: list[int] = []
        self._cancelled = threading.Event()
        self._busy = threading.Lock()
        self._stream_open: Generator[str, None, None] | None = None
        self._adapter: LlamaAdapter | None = None
        self._last: PromptAndAnswer | None = None
        self.last_answer: Completion | None = None

    @classmethod
    def open(
        cls,
        gguf: Path,
        *,
        context: int,
        threads: int | None = None,
        log_file: Path | None = None,
        template: ChatTemplate | None = None,
        adapter: Path | None = None,
    ) -> Session:
        """Load `gguf`; raises UserError in one line when llama.cpp refuses it.

        `context` is in tokens and never beyond what the model was trained for; `template` stands
        in for the GGUF's own; `adapter` is a LoRA GGUF to put on it. llama.cpp's log is appended
        to `log_file`, or dropped.
        """
        if log_file is not None:
            LOG.to_file(log_file)
        model = LlamaModel(gguf)
        try:
            size = usable_context(model, context)
            session = cls(model, Decoder(model, context=size, threads=threads), template)
        except BaseException:
            model.close()
            raise
        if adapter is not None:
            try:
                session.adapt(adapter)
            except BaseException:
                session.close()
                raise
        return session

    def adapt(self, adapter: Path | None) -> None:
        """Answer with this LoRA adapter from now on, None: with the model as it is.

        What was read is forgotten, as other weights read it: the next answer reads the whole
        conversation. Raises UserError, and stays as it was, for a file that does not fit.
        """
        with self._alone():
            c, loaded = self.model.c, None
            if adapter is not None:
                loaded = LlamaAdapter(c, self.model.pointer, adapter)
            apply_adapter(c, self._decoder.pointer, loaded)
            self._decoder.clear()
            self._fed = []
            if self._adapter:
                self._adapter.close()
            self._adapter = loaded

    @property
    def adapter(self) -> Path | None:
        """The adapter in use."""
        return self._adapter.path if self._adapter else None

    @property
    def template(self) -> ChatTemplate:
        """The chat template in use. Raises UserError when the GGUF has none and none was given."""
        if self._template is None:
            self._template = model_chat_template(self.model)
        return self._template

    @property
    def context(self) -> int:
        """Tokens that prompt and answer may have together."""
        return self._decoder.capacity

    def stream(
        self, messages: Sequence[Message], sampling: SamplingParams, stop: Sequence[str] = ()
    ) -> Iterator[str]:
        """Yield the answer's text as it becomes certain; `last_answer` holds the whole at the end.

        Raises UserError, before anything is yielded, for a conversation longer than the context.
        """
        self._cancelled.clear()
        self._decoder.abort.clear()
        self._stream_open = self._stream(messages, sampling, tuple(stop))
        return self._stream_open

    def answer(
        self, messages: Sequence[Message], sampling: SamplingParams, stop: Sequence[str] = ()
    ) -> Completion:
        """The whole answer."""
        for _text in self.stream(messages, sampling, stop):
            pass
        assert self.last_answer is not None
        return self.last_answer

    def alternatives(self, top: int = 4) -> list[TokenLogprob]:
        """The last answer's tokens, each with its probability and the likeliest in its place.

        They are read again by the weights in use now. Empty where there was no answer, or when
        `cancel` has ended it.
        """
        with self._alone():
            if self._last is None:
                return []
            self._decoder.abort.clear()
            kept, read = self._reuse(self._last.prompt), self._last.read
            try:
                return list(token_logprobs(self._decoder, self._last, top, start=kept))
            except Aborted:
                return []
            finally:
                self._fed = read[: self._decoder.length(CHAT)]

    def cancel(self) -> None:
        """End the answer being written, within a token or 50 ms; safe from any thread."""
        self._cancelled.set()
        self._decoder.abort.set()

    def _stream(
        self, messages: Sequence[Message], sampling: SamplingParams, stop: Sequence[str]
    ) -> Generator[str, None, None]:
        with self._alone():
            ids = prompt_ids(self.model, self.template, messages)
            check_fits(len(ids), self.context)
            cached = self._reuse(ids)
            writing = Generation(
                self.model, ids, sampling, stop, capacity=self.context, cached_tokens=cached
            )
            try:
                yield from self._write(ids[cached:], writing)
                self.last_answer = writing.answer()
                self._last = PromptAndAnswer(ids, writing.ids) if writing.ids else None
            finally:
                writing.close()

    def _write(self, unread: Sequence[int], writing: Generation) -> Iterator[str]:
        row, slow = self._read(unread), False
        while writing.ending is None:
            if row is None or self._cancelled.is_set():
                yield writing.cancel()
                return
            shown = writing.draw(self._decoder.pointer, row)
            if writing.ending is None:
                began = time.perf_counter()
                row = self._feed([writing.last_token], abortable=slow)
                slow = time.perf_counter() - began > SLOW_TOKEN_S
            if shown:
                yield shown

    def _read(self, ids: Sequence[int]) -> int | None:
        """Read the prompt in chunks; the row to draw from, or None when cancelled on the way."""
        row = None
        for start in range(0, len(ids), BATCH_TOKENS):
            row = self._feed(ids[start : start + BATCH_TOKENS], abortable=True)
            if row is None:
                return None
        return row

    def _feed(self, ids: Sequence[int], *, abortable: bool = False) -> int | None:
        try:
            rows = self._decoder.feed([SequenceTokens(CHAT, ids)], abortable=abortable)
        except Aborted:
            return None
        finally:  # in place: a copy of a long conversation for every token would be seen
            self._fed.extend(ids)
            del self._fed[self._decoder.length(CHAT) :]
        return rows[CHAT]

    def _reuse(self, ids: Sequence[int]) -> int:
        """Keep of the cache what `ids` begins with, one token apart, which gives the logits."""
        same = common_prefix(self._fed, ids[:-1])
        kept = self._decoder.keep(CHAT, same)
        self._fed = self._fed[:kept]
        return kept

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise RuntimeError("this session is already generating a response")
        try:
            yield
        finally:
            self._busy.release()

    def close(self) -> None:
        """Free what llama.cpp holds; a stream that was left half-way ends. Not while it runs."""
        if self._stream_open is not None:
            self._stream_open.close()
        with self._alone():
            self._decoder.close()
            if self._adapter:
                self._adapter.close()
            self.model.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def usable_context(model: LlamaModel, wanted: int) -> int:
    """`wanted` tokens, or what the model was trained for when that is less."""
    return min(wanted, model.trained_context) if model.trained_context > 0 else wanted


def check_fits(n_tokens: int, context: int) -> None:
    """Raise UserError when a prompt leaves no room for an answer."""
    if n_tokens >= context:
        raise UserError(
            f"the conversation has {n_tokens:,} tokens, but the context size is {context:,}",
            hint="shorten it, or raise generate.context if the model supports more",
        )
