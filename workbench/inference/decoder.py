"""A llama.cpp context: several sequences side by side, each with its own key-value cache.

Invariant: `length(sequence)` tokens of a sequence are in the cache, at positions 0, 1, 2 … without
a gap. The caches of sequences are kept apart (not one pool), so that what one sequence computes
does not depend on how many cells its neighbours hold.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workbench.core.errors import UserError, WorkbenchError
from workbench.inference.llama_model import LlamaModel, last_error

BATCH_TOKENS = 512  # tokens in one call; a prompt is read in chunks of this size
SMALL_MODEL_PARAMETERS = 100_000_000
ABORTED = 2


class DecodeError(WorkbenchError):
    """llama.cpp could not go on computing; the reason is in its log."""


class Aborted(Exception):
    """A decode was given up because `abort` was set; the cache was rolled back."""


@dataclass(frozen=True)
class SequenceTokens:
    """Tokens to append to a sequence; the logits after the last `wanted` of them are kept."""

    sequence: int
    tokens: Sequence[int]
    wanted: int = 1


class Decoder:
    """Computes logits for up to `sequences` sequences of `context` tokens each.

    `threads` None chooses: see `default_threads`. Raises UserError when memory does not suffice.
    """

    def __init__(
        self, model: LlamaModel, *, context: int, sequences: int = 1, threads: int | None = None
    ) -> None:
        self.model, self.c = model, model.c
        self._context = self._new_context(context, sequences, threads)
        self._memory = self.c.llama_get_memory(self._context)
        self._batch = self.c.llama_batch_init(BATCH_TOKENS, 0, 1)
        for i in range(BATCH_TOKENS):
            self._batch.n_seq_id[i] = 1
        self._lengths = [0] * sequences
        self.capacity = int(self.c.llama_n_ctx_seq(self._context))
        # The callback holds the event, not the decoder, so that no cycle keeps a context alive.
        self.abort = abort = threading.Event()
        self._abort_callback = self.c.ggml_abort_callback(lambda _data: abort.is_set())
        self._no_callback = self.c.ggml_abort_callback()
        self._abortable = False

    def _new_context(self, context: int, sequences: int, threads: int | None) -> Any:
        params = self.c.llama_context_default_params()
        params.n_ctx = context * sequences
        params.n_seq_max = sequences
        params.n_batch = params.n_ubatch = BATCH_TOKENS
        params.n_threads = params.n_threads_batch = threads or default_threads(self.model)
        params.kv_unified = False
        params.swa_full = True  # the whole cache, so that a prefix of it can be reused
        created = self.c.llama_init_from_model(self.model.pointer, params)
        if not created:
            hint = f"{context} tokens x {sequences} may need more memory than is available"
            reason = f"llama.cpp cannot create a context: {last_error()}"
            raise UserError(reason, path=self.model.path, hint=hint)
        return created

    @property
    def pointer(self) -> Any:
        """The context, whose logits a `Sampler` reads."""
        return self._context

    def length(self, sequence: int) -> int:
        """Tokens of the sequence that are in the cache."""
        return self._lengths[sequence]

    def keep(self, sequence: int, n_tokens: int) -> int:
        """Forget all but the first `n_tokens` of a sequence; how many could truly be kept.

        Models with a recurrent state cannot step back: they keep all or nothing.
        """
        if n_tokens >= self._lengths[sequence]:
            return self._lengths[sequence]
        if n_tokens and self.c.llama_memory_seq_rm(self._memory, sequence, n_tokens, -1):
            self._lengths[sequence] = n_tokens
            return n_tokens
        self.c.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        self._lengths[sequence] = 0
        return 0

    def clear(self) -> None:
        """Forget every sequence."""
        self.c.llama_memory_clear(self._memory, True)
        self._lengths = [0] * len(self._lengths)

    def feed(self, feeds: Sequence[SequenceTokens], *, abortable: bool = False) -> dict[int, int]:
        """Append tokens, at most `BATCH_TOKENS` in all; sequence -> row of its last wanted logits.

        A row is what `Sampler.draw` reads; further wanted ones stand right before it.
        Raises Aborted (when `abortable` and `abort` is set) or DecodeError; either way the
        sequences are as they were before.
        """
        rows = self._fill(feeds)
        self._allow_abort(abortable)
        try:
            status = int(self.c.llama_decode(self._context, self._batch))
        finally:
            if abortable:
                self._allow_abort(False)
        if status != 0:
            self._roll_back(feeds)
            if status == ABORTED:
                raise Aborted
            raise DecodeError(f"llama.cpp stopped computing ({status}): {last_error()}")
        for feed in feeds:
            self._lengths[feed.sequence] += len(feed.tokens)
        return rows

    def _fill(self, feeds: Sequence[SequenceTokens]) -> dict[int, int]:
        batch, row, rows = self._batch, 0, {}
        for feed in feeds:
            position = self._lengths[feed.sequence]
            assert position + len(feed.tokens) <= self.capacity, "the context would overflow"
            for token in feed.tokens:
                batch.token[row] = token
                batch.pos[row] = position
                batch.seq_id[row][0] = feed.sequence
                batch.logits[row] = 0
                row, position = row + 1, position + 1
            for kept in range(row - feed.wanted, row):
                batch.logits[kept] = 1
            if feed.wanted:
                rows[feed.sequence] = row - 1
        assert 0 < row <= BATCH_TOKENS
        batch.n_tokens = row
        return rows

    def _allow_abort(self, allowed: bool) -> None:
        """The callback runs once a graph node and takes the GIL: right for a long prompt only."""
        if allowed == self._abortable:
            return
        self._abortable = allowed
        callback = self._abort_callback if allowed else self._no_callback
        self.c.llama_set_abort_callback(self._context, callback, None)

    def _roll_back(self, feeds: Sequence[SequenceTokens]) -> None:
        for feed in feeds:
            kept = self._lengths[feed.sequence]
            if not self.c.llama_memory_seq_rm(self._memory, feed.sequence, kept, -1):
                self.c.llama_memory_seq_rm(self._memory, feed.sequence, -1, -1)
                self._lengths[feed.sequence] = 0

    def close(self) -> None:
        """Free the context (not the model); closing twice is fine."""
        if self._context:
            self.c.llama_batch_free(self._batch)
            self.c.llama_free(self._context)
            self._context = None


def default_threads(model: LlamaModel) -> int:
    """One thread for a small model, where waiting for each other costs more than it saves.

    Measured on two cores: 2 M parameters gain 6 % from a second thread when the machine is idle
    and lose most of their speed when it is not. Otherwise all cores this process may use, at
    most eight: reading the weights from memory is the limit from there on.
    """
    if model.n_parameters < SMALL_MODEL_PARAMETERS:
        return 1
    return max(1, min(8, len(os.sched_getaffinity(0)))) if hasattr(os, "sched_getaffinity") else 4
