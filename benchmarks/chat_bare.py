"""The peer: a loop over llama-cpp-python's own calls, with nothing between them.

It keeps no conversation, looks for no stop text and cannot be cancelled; settings of context and
sampler are ours, so that what is compared is what we add.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.core.sampling import SamplingParams
from workbench.inference.decoder import BATCH_TOKENS, Decoder
from workbench.inference.generation import Sampler
from workbench.inference.llama_model import LlamaModel

PIECE_BYTES = 256


class Bare:
    """One model and its context; close it."""

    def __init__(self, path: Path, context: int) -> None:
        self._model = LlamaModel(path)
        self._decoder = Decoder(self._model, context=context)
        self._c, self._context = self._model.c, self._decoder.pointer
        self._memory = self._c.llama_get_memory(self._context)

    def generate(self, prompt: Sequence[int], n_tokens: int, sampling: SamplingParams) -> float:
        """Seconds from the first token to the last of so many."""
        c, context, vocab = self._c, self._context, self._model.vocab
        c.llama_memory_clear(self._memory, True)
        for start in range(0, len(prompt), BATCH_TOKENS):
            self._decode(prompt[start : start + BATCH_TOKENS])
        one, buffer = (ctypes.c_int32 * 1)(), ctypes.create_string_buffer(PIECE_BYTES)
        with Sampler(self._model, sampling) as sampler:
            chain, text = sampler.pointer, bytearray()
            token = c.llama_sampler_sample(chain, context, -1)
            began = time.perf_counter()
            for _ in range(n_tokens - 1):
                size = c.llama_token_to_piece(vocab, token, buffer, PIECE_BYTES, 0, True)
                text += buffer.raw[:size]
                one[0] = token
                if c.llama_decode(context, c.llama_batch_get_one(one, 1)):
                    raise RuntimeError("llama.cpp stopped computing")
                token = c.llama_sampler_sample(chain, context, -1)
            return time.perf_counter() - began

    def _decode(self, ids: Sequence[int]) -> Any:
        array = (ctypes.c_int32 * len(ids))(*ids)
        if self._c.llama_decode(self._context, self._c.llama_batch_get_one(array, len(ids))):
            raise RuntimeError("llama.cpp stopped computing")

    def close(self) -> None:
        self._decoder.close()
        self._model.close()
