"""A GGUF opened by llama.cpp: its weights, vocabulary and metadata, and a LoRA adapter on them.

It calls the C interface of llama-cpp-python directly: the `Llama` class prints, keeps only one
sequence and hides the prompt cache. `close` frees everything native in a fixed order: contexts
before their model.

An adapter can be applied, exchanged and removed while the model stays loaded. Invariant: an adapter
is freed only after no context uses it, and every change clears the key-value cache, which the old
weights filled (by `Session.adapt`).
"""

from __future__ import annotations

import ctypes
import os
import re
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench.core.errors import UserError
from workbench.core.text import special_pattern
from workbench.inference.llama_library import LOG, library

CONTROL, UNKNOWN = 1 << 3, 1 << 0  # enum llama_token_attr in llama.h
NO_TOKEN = -1
CONTEXT_STEP = 256  # llama.cpp rounds a context up to a multiple


class LlamaModel:
    """One loaded model. Raises UserError with llama.cpp's own last error when it cannot be opened.

    `tokenize` and `piece` may be called from any thread; decoding belongs to `Decoder`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.c = library()
        LOG.take_errors()
        self._model = self.c.llama_model_load_from_file(
            os.fsencode(path), self.c.llama_model_default_params()
        )
        if not self._model:
            raise UserError(f"llama.cpp cannot open this file: {last_error()}", path=path)
        self._vocab = self.c.llama_model_get_vocab(self._model)
        if not self.c.llama_model_has_decoder(self._model) or self._encodes_first():
            self.close()
            raise UserError("this model does not generate text", path=path)

    def _encodes_first(self) -> bool:
        return bool(self.c.llama_model_has_encoder(self._model))

    @property
    def pointer(self) -> Any:
        assert self._model, "the model is closed"
        return self._model

    @property
    def vocab(self) -> Any:
        assert self._model, "the model is closed"
        return self._vocab

    def close(self) -> None:
        """Free the model; closing twice is fine."""
        if self._model:
            self.c.llama_model_free(self._model)
            self._model = None

    @cached_property
    def n_parameters(self) -> int:
        return int(self.c.llama_model_n_params(self.pointer))

    @cached_property
    def n_vocab(self) -> int:
        return int(self.c.llama_vocab_n_tokens(self.vocab))

    @cached_property
    def trained_context(self) -> int:
        """Positions the model was trained for, in tokens."""
        return int(self.c.llama_model_n_ctx_train(self.pointer))

    def takes_long_factors(self, context: int) -> bool:
        """Whether a context of so many tokens has longrope's factors for long texts.

        llama.cpp chooses by the size of the context, whatever the length of the text in it.
        """
        return 0 < self._original_context < -(-context // CONTEXT_STEP) * CONTEXT_STEP

    @cached_property
    def _original_context(self) -> int:
        """The largest context with longrope's short factors; 0 for another rotary embedding."""
        scaling = f"{self.metadata('general.architecture') or ''}.rope.scaling"
        kind = self.metadata(f"{scaling}.type") or "longrope"  # llama.cpp's converter writes none
        original = self.metadata(f"{scaling}.original_context_length")
        return int(original or 0) if kind == "longrope" else 0

    @cached_property
    def cache_bytes_per_token(self) -> int:
        """Bytes of key and value cache for one position, as F16; more than windowed layers need."""
        heads = max(1, int(self.c.llama_model_n_head(self.pointer)))
        head_width = int(self.c.llama_model_n_embd(self.pointer)) // heads
        lengths = sum(self._attention_length(name, head_width) for name in ("key", "value"))
        kv_heads = max(1, int(self.c.llama_model_n_head_kv(self.pointer)))
        return 2 * lengths * kv_heads * int(self.c.llama_model_n_layer(self.pointer))

    def _attention_length(self, name: str, default: int) -> int:
        architecture = self.metadata("general.architecture") or ""
        return int(self.metadata(f"{architecture}.attention.{name}_length") or default)

    def metadata(self, key: str) -> str | None:
        """The metadata value under `key` as text, or None. Its bytes are read as UTF-8."""
        name = key.encode()
        size = int(self.c.llama_model_meta_val_str(self.pointer, name, None, 0))
        if size < 0:
            return None
        buffer = ctypes.create_string_buffer(size + 1)
        self.c.llama_model_meta_val_str(self.pointer, name, buffer, size + 1)
        return buffer.value.decode(errors="replace")

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        """Token ids of `text`, with no BOS or EOS added.

        With `parse_special`, the text of a control token becomes that token; without, plain text.
        """
        raw = text.encode(errors="replace")
        room = len(raw) + 8
        while True:
            ids = (ctypes.c_int32 * room)()
            n = self.c.llama_tokenize(self.vocab, raw, len(raw), ids, room, False, parse_special)
            if n >= 0:
                return list(ids[:n])
            room = -n

    def piece(self, token: int) -> bytes:
        """The bytes that `token` stands for; a control token gives its name, like `<|im_end|>`."""
        cached = self._pieces.get(token)
        if cached is None:
            cached = self._pieces[token] = self._piece(token)
        return cached

    def _piece(self, token: int) -> bytes:
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            n = self.c.llama_token_to_piece(self.vocab, token, buffer, room, 0, True)
            if n >= 0:
                return buffer.raw[:n]
            room = -n

    @cached_property
    def _pieces(self) -> dict[int, bytes]:
        return {}

    def ends(self, token: int) -> bool:
        """Whether `token` ends a turn (EOS, EOT and their kin)."""
        known = self._endings.get(token)
        if known is None:
            known = self._endings[token] = bool(self.c.llama_vocab_is_eog(self.vocab, token))
        return known

    @cached_property
    def _endings(self) -> dict[int, bool]:
        return {}

    @cached_property
    def control_tokens(self) -> dict[int, str]:
        """Tokens that steer the model instead of being text: id -> name."""
        attribute, mask = self.c.llama_vocab_get_attr, CONTROL | UNKNOWN
        ids = (i for i in range(self.n_vocab) if int(attribute(self.vocab, i)) & mask)
        return {i: self.piece(i).decode(errors="replace") for i in ids}

    @cached_property
    def control_names(self) -> re.Pattern[str] | None:
        """Finds their names in a text; None where there are none."""
        return special_pattern(self.control_tokens.values())

    @cached_property
    def adds_bos(self) -> bool:
        return bool(self.c.llama_vocab_get_add_bos(self.vocab))

    @cached_property
    def bos(self) -> int:
        """Id of the beginning-of-sequence token, -1 where the model has none.

        An exporter without a BOS writes the EOS in its place (llama.cpp would else assume an id of
        its own), so a BOS that equals EOS and is never added counts as none.
        """
        bos = int(self.c.llama_vocab_bos(self.vocab))
        return NO_TOKEN if bos == self.eos and not self.adds_bos else bos

    @cached_property
    def eos(self) -> int:
        return int(self.c.llama_vocab_eos(self.vocab))

    def name_of(self, token: int) -> str:
        """The token's text, `""` for none; what a template calls `bos_token` and `eos_token`."""
        return "" if token == NO_TOKEN else self.piece(token).decode(errors="replace")


def last_error() -> str:
    """llama.cpp's last error in one line, for the end of a message of ours."""
    errors = LOG.take_errors()
    if not errors:
        return "no reason given"
    useful = [line for line in errors if "error" in line.lower()] or errors
    return " ".join(useful[0].split())


class LlamaAdapter:
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


def apply_adapter(c: Any, context: Any, adapter: LlamaAdapter | None, scale: float = 1.0) -> None:
    """Let `context` compute with the adapter, or with none, from now on."""
    if adapter is None:
        status = c.llama_set_adapters_lora(context, None, 0, None)
    else:
        array = (c.llama_adapter_lora_p_ctypes * 1)(adapter.pointer)
        status = c.llama_set_adapters_lora(context, array, 1, (ctypes.c_float * 1)(scale))
    assert status == 0, "llama.cpp knows no reason to refuse a loaded adapter"
