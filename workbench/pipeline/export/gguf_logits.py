"""A GGUF opened by llama.cpp to be examined: ids of a text, logits of every position.

Keys and values are cached in F32, so that what is measured is the file and not the cache.
llama.cpp aborts the whole process on some bad files: it is opened in a worker, on files that this
package has written.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from workbench.core.errors import RunFailed
from workbench.pipeline.export.safetensors_reader import Float32

# Without this an abort of ggml starts a debugger to print a backtrace. Read when ggml aborts.
os.environ.setdefault("GGML_NO_BACKTRACE", "1")

GGML_F32 = 0
BATCH = 512
FLASH_ATTENTION_OFF = 0


class GgufLogits:
    """A loaded GGUF; a context manager. `context` 0 opens the vocabulary only.

    Raises RunFailed with llama.cpp's own reason when the file cannot be opened.
    """

    def __init__(self, path: Path, *, context: int = 0, threads: int = 1) -> None:
        from workbench.inference.llama_library import LOG, library

        self._c = library()
        LOG.take_errors()
        parameters = self._c.llama_model_default_params()
        parameters.vocab_only = context == 0
        parameters.n_gpu_layers = 0
        self._model = self._c.llama_model_load_from_file(os.fsencode(path), parameters)
        if not self._model:
            raise RunFailed(f"{path}: llama.cpp cannot load it: {_reason(LOG.take_errors())}")
        self._vocab = self._c.llama_model_get_vocab(self._model)
        self._context = self._open_context(path, context, threads) if context else None

    def __enter__(self) -> GgufLogits:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._context:
            self._c.llama_free(self._context)
        self._c.llama_model_free(self._model)

    def _open_context(self, path: Path, size: int, threads: int) -> Any:
        parameters = self._c.llama_context_default_params()
        parameters.n_ctx = size
        parameters.n_batch = parameters.n_ubatch = BATCH
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.type_k = parameters.type_v = GGML_F32
        parameters.flash_attn_type = FLASH_ATTENTION_OFF
        context = self._c.llama_init_from_model(self._model, parameters)
        if not context:
            self._c.llama_model_free(self._model)
            raise RunFailed(f"{path}: llama.cpp has not enough memory for {size} positions")
        return context

    @property
    def vocabulary_size(self) -> int:
        return int(self._c.llama_vocab_n_tokens(self._vocab))

    def ends(self, token: int) -> bool:
        """Whether llama.cpp's own programs end a response at `token`."""
        return bool(self._c.llama_vocab_is_eog(self._vocab, token))

    def ids(self, text: str, *, add_special: bool = False) -> list[int]:
        """Ids of `text`; special tokens in it are recognised, BOS and EOS only on request."""
        raw = text.encode()
        room = len(raw) + 8
        tokens = (ctypes.c_int32 * room)()
        n = self._c.llama_tokenize(self._vocab, raw, len(raw), tokens, room, add_special, True)
        assert n >= 0, "more tokens than bytes"
        return list(tokens[:n])

    def logits(self, ids: list[int]) -> Float32:  # (len(ids), vocabulary)
        """Logits after each of `ids`, from an empty cache."""
        self._c.llama_memory_clear(self._c.llama_get_memory(self._context), True)
        logits = np.empty((len(ids), self.vocabulary_size), np.float32)
        for first in range(0, len(ids), BATCH):
            self._decode(ids[first : first + BATCH], first, logits, first)
        return logits

    def greedy(self, ids: Sequence[int], most: int, stops: Sequence[int]) -> list[int]:
        """The likeliest next tokens after `ids`, `most` of them or up to one that stops."""
        answer, row = list[int](), self.logits(list(ids))[-1:]
        while len(answer) < most:
            answer.append(int(row[0].argmax()))
            if answer[-1] in stops or len(answer) == most:
                break
            row = np.empty((1, self.vocabulary_size), np.float32)
            self._decode(answer[-1:], len(ids) + len(answer) - 1, row, 0)
        return answer

    def _decode(self, ids: list[int], first: int, logits: Float32, at: int) -> None:
        """Read `ids`, which stand at `first`; their logits go into the rows from `at` on."""
        batch = self._c.llama_batch_init(len(ids), 0, 1)
        try:
            batch.n_tokens = len(ids)
            for i, token in enumerate(ids):
                batch.token[i], batch.pos[i] = token, first + i
                batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
                batch.logits[i] = 1
            status = self._c.llama_decode(self._context, batch)
            if status != 0:
                raise RunFailed(f"llama.cpp could not compute the logits (status {status})")
            for i in range(len(ids)):
                row = self._c.llama_get_logits_ith(self._context, i)
                logits[at + i] = np.ctypeslib.as_array(row, (logits.shape[1],))
        finally:
            self._c.llama_batch_free(batch)


def _reason(errors: list[str]) -> str:
    return " ".join(errors[0].split()) if errors else "no reason given"
