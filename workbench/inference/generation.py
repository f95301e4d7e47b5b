"""Generation: one answer in progress, or several side by side, sampled by llama.cpp.

`Generation` holds the sampler, the text so far, and the reason why it ended. A conversation
(`Session`) and a batch share it, so that both stop, count and hold text back alike. A chain of
samplers serves one answer and owns its random state: two chains with the same settings that see
the same logits draw the same tokens.

A batch decodes one token of every prompt in one llama.cpp call: the weights are read once for all.
The price: sums are formed in a different order than with one prompt, so two tokens within rounding
of each other may change places. Invariant: the answers to a batch depend on the batch alone, never
on what ran before or next to it, so the same batches give the same answers on the same machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal

from workbench.core.sampling import PENALTY_WINDOW, SamplingParams
from workbench.core.text import quantity
from workbench.inference.decoder import BATCH_TOKENS, Decoder, SequenceTokens
from workbench.inference.llama_model import LlamaModel
from workbench.inference.stop_sequences import TextStream


class Sampler:
    """Draws tokens from a context's logits. Free it with `close`, or use it in a `with`."""

    def __init__(self, model: LlamaModel, sampling: SamplingParams) -> None:
        self.c = c = model.c
        self._chain = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
        self._penalises = sampling.repeat_penalty != 1.0
        for part in _parts(model, sampling):
            c.llama_sampler_chain_add(self._chain, part)

    @property
    def pointer(self) -> object:
        """llama.cpp's chain."""
        return self._chain

    def read(self, tokens: Iterable[int]) -> None:
        """Let the repeat penalty see the prompt, as llama.cpp's server and Ollama do."""
        if self._penalises:
            for token in list(tokens)[-PENALTY_WINDOW:]:
                self.c.llama_sampler_accept(self._chain, token)

    def draw(self, context: object, row: int) -> int:
        """The next token after the `row`-th token of the batch just decoded."""
        return int(self.c.llama_sampler_sample(self._chain, context, row))

    def close(self) -> None:
        if self._chain:
            self.c.llama_sampler_free(self._chain)
            self._chain = None

    def __enter__(self) -> Sampler:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _parts(model: LlamaModel, sampling: SamplingParams) -> Iterable[object]:
    c = model.c
    if sampling.repeat_penalty != 1.0:
        yield c.llama_sampler_init_penalties(
            model.n_vocab, PENALTY_WINDOW, sampling.repeat_penalty, 0.0, 0.0
        )
    if sampling.greedy:
        yield c.llama_sampler_init_greedy()
        return
    if sampling.top_k:
        yield c.llama_sampler_init_top_k(sampling.top_k)
    if sampling.top_p < 1.0:
        yield c.llama_sampler_init_top_p(sampling.top_p, 1)
    if sampling.min_p > 0.0:
        yield c.llama_sampler_init_min_p(sampling.min_p, 1)
    yield c.llama_sampler_init_temp(sampling.temperature)
    yield c.llama_sampler_init_dist(sampling.seed)


FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True)
class Completion:
    """A finished answer. `stopped` says why: by itself (`stop`), a limit, or somebody's wish.

    `n_tokens` counts what was drawn, the ending token included; `prompt_tokens` of which
    `cached_tokens` were not read again; `first_token_s` is the time until the first draw.
    """

    text: str
    stopped: FinishReason
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


class Generation:
    """The answer to `prompt`, which must fit `capacity` with one token to spare. Close it."""

    def __init__(
        self,
        model: LlamaModel,
        prompt: Sequence[int],
        sampling: SamplingParams,
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
        self.ending: FinishReason | None = None
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

    def answer(self) -> Completion:
        """The finished answer; only once `ending` is set."""
        assert self.ending is not None
        return Completion(
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


MAX_BATCH_SIZE = 16
CACHE_BYTES = 1 << 30  # for the key-value caches of all sequences together


@dataclass(frozen=True)
class PromptJob:
    """One prompt, already token ids, and how to answer it."""

    ids: Sequence[int]
    sampling: SamplingParams
    stop: Sequence[str] = field(default=())


def batch_size(cache_bytes_per_token: int, context: int) -> int:
    """How many sequences of `context` tokens to answer side by side: 1 to 16, as memory allows.

    A pure function of the model and the settings, so that groups are the same on every run.
    """
    per_sequence = max(1, cache_bytes_per_token * context)
    return max(1, min(MAX_BATCH_SIZE, CACHE_BYTES // per_sequence))


def generate_batch(
    decoder: Decoder, jobs: Sequence[PromptJob], should_stop: Callable[[], bool] = lambda: False
) -> Iterator[tuple[int, Completion]]:
    """Yield (index of the job, answer) as each one ends.

    At most as many jobs as the decoder has sequences, each of which fits its context. Ends early,
    without the unfinished answers, when `should_stop` says so.
    """
    decoder.clear()
    writings = [
        Generation(decoder.model, job.ids, job.sampling, job.stop, capacity=decoder.capacity)
        for job in jobs
    ]
    try:
        for feeds in _rounds(jobs, writings):
            if should_stop():
                return
            rows = decoder.feed(feeds)
            for index, row in rows.items():
                writings[index].draw(decoder.pointer, row)
                if writings[index].ending is not None:
                    yield index, writings[index].answer()
    finally:
        for writing in writings:
            writing.close()


def _rounds(
    jobs: Sequence[PromptJob], writings: Sequence[Generation]
) -> Iterator[list[SequenceTokens]]:
    """What to feed, call by call: first the prompts, then the last token of all that go on."""
    yield from pack([job.ids for job in jobs], BATCH_TOKENS)
    while live := [i for i, writing in enumerate(writings) if writing.ending is None]:
        yield [SequenceTokens(i, [writings[i].last_token]) for i in live]


def pack(prompts: Sequence[Sequence[int]], room: int) -> Iterator[list[SequenceTokens]]:
    """Cut prompts, in order, into calls of at most `room` tokens; of each, the end is wanted."""
    call: list[SequenceTokens] = []
    free = room
    for index, ids in enumerate(prompts):
        at = 0
        while at < len(ids):
            piece = ids[at : at + free]
            at += len(piece)
            free -= len(piece)
            call.append(SequenceTokens(index, piece, wanted=int(at == len(ids))))
            if free == 0:
                yield call
                call, free = [], room
    if call:
        yield call


ENDINGS = {"stop": "stopped on its own", "length": "token limit reached", "cancelled": "cancelled"}


def completion_summary(answer: Completion) -> str:
    """`57 tokens, 310 tokens/s, stopped by itself`."""
    ending = "context full" if answer.context_full else ENDINGS[answer.stopped]
    return (
        f"{quantity(answer.n_tokens, 'token')}, {answer.tokens_per_second:,.0f} tokens/s, {ending}"
    )
