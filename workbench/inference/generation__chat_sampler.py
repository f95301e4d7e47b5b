"""llama.cpp's chain of samplers for one `Sampling`, and its lifetime.

Two chains with the same settings that see the same logits draw the same tokens: the random state
belongs to the chain, and a chain serves one answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

from workbench.inference.llama_model import NativeModel
from workbench.core.sampling import PENALTY_WINDOW, Sampling


class Sampler:
    """Draws tokens from a context's logits. Free it with `close`, or use it in a `with`."""

    def __init__(self, model: NativeModel, sampling: Sampling) -> None:
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


def _parts(model: NativeModel, sampling: Sampling) -> Iterable[object]:
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
