"""A LoRA adapter on a loaded model: put on, exchanged and taken off while the model stays.

Invariant: an adapter is freed only after no context uses it, and the key-value cache, which the old
weights filled, is cleared with every change (by `Session.adapt`).
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

from workbench.inference.llama_library import LOG
from workbench.inference.llama_model import last_error
from workbench.core.errors import UserError


class NativeAdapter:
    """A loaded adapter of `model` (a pointer of llama.cpp's); close it before the model.

    Raises UserError in one line for a file that is no adapter, or one of another model.
    """

    def __init__(self, c: Any, model: Any, path: Path) -> None:
        self.path, self._c = path, c
        LOG.take_errors()
        self._pointer = c.llama_adapter_lora_init(model, os.fsencode(path))
        if not self._pointer:
            raise UserError(f"llama.cpp cannot use this adapter: {last_error()}", path=path)

    @property
    def pointer(self) -> Any:
        return self._pointer

    def close(self) -> None:
        """Free it; closing twice is fine. Not while a context uses it."""
        if self._pointer:
            self._c.llama_adapter_lora_free(self._pointer)
            self._pointer = None


def use(c: Any, context: Any, adapter: NativeAdapter | None, scale: float = 1.0) -> None:
    """Let `context` compute with the adapter, or with none, from now on."""
    if adapter is None:
        status = c.llama_set_adapters_lora(context, None, 0, None)
    else:
        array = (c.llama_adapter_lora_p_ctypes * 1)(adapter.pointer)
        status = c.llama_set_adapters_lora(context, array, 1, (ctypes.c_float * 1)(scale))
    assert status == 0, "llama.cpp knows no reason to refuse a loaded adapter"
