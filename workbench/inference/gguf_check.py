"""Is this file a model that can be loaded? Answered without risk to the asking process.

Two steps: `read_gguf_info` reads the header with bounds (see `gguf_header`) and checks what
llama.cpp would only assert; `verify_loadable` then lets a child process open the file, so that an
abort of native code costs one line and not the screen.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.core import files
from workbench.core.errors import UserError
from workbench.core.subprocesses import exit_reason, run_child
from workbench.core.text import one_line
from workbench.inference.gguf_header import Header, read_header

OPEN_TIMEOUT_S = 120.0
SPECIAL_IDS = ("bos", "eos", "eot", "eom", "unknown", "seperator", "padding", "mask")


@dataclass(frozen=True)
class GgufInfo:
    """What the header says about a model. `context` is the length it was trained for, in tokens."""

    path: Path
    architecture: str
    name: str
    parameters: int
    file_bytes: int
    context: int
    embedding: int
    layers: int
    vocabulary: int
    chat_template: str | None


def read_gguf_info(path: Path) -> GgufInfo:
    """Facts about the model at `path`. Raises UserError for what is no sound language model."""
    header = read_header(path)
    architecture = _text(path, header, "general.architecture")
    if _optional_text(header, "general.type") not in (None, "model"):
        raise _fault(
            path, "it is not a model but " + one_line(str(header.metadata["general.type"]))
        )
    tokens = _check_vocabulary(path, header)
    layers = _positive(path, header, f"{architecture}.block_count", 10_000)
    embedding = _positive(path, header, f"{architecture}.embedding_length", 1 << 24)
    _check_shapes(path, header, architecture, embedding, tokens)
    return GgufInfo(
        path=path,
        architecture=architecture,
        name=_optional_text(header, "general.name") or path.stem,
        parameters=header.n_parameters,
        file_bytes=path.stat().st_size,
        context=_positive(path, header, f"{architecture}.context_length", 1 << 31),
        embedding=embedding,
        layers=layers,
        vocabulary=tokens,
        chat_template=_optional_text(header, "tokenizer.chat_template"),
    )


def verify_loadable(
    path: Path, *, trusted: Collection[str] = (), timeout_s: float = OPEN_TIMEOUT_S
) -> GgufInfo:
    """Facts about the model at `path`, once a child process could open it and compute a token.

    `trusted` holds SHA-256 digests that a run of ours vouches for: those need no child. Raises
    UserError in one line for a file that is refused, aborts the child or takes too long.
    """
    info = read_gguf_info(path)
    if trusted and files.sha256(path) in trusted:
        return info
    problem = _try_in_child(path, timeout_s)
    if problem:
        raise UserError(problem, path=path)
    return info


def _try_in_child(path: Path, timeout_s: float) -> str:
    """`""` when a child could open the file, else why not."""
    command = [sys.executable, "-m", "workbench.inference.gguf_open_process", str(path)]
    try:
        result = run_child(command, timeout_s=timeout_s)
    except TimeoutError:
        return f"llama.cpp could not open this file within {timeout_s:g} s"
    how = exit_reason(result.returncode, result.stderr)
    if result.returncode < 0:
        return f"llama.cpp crashes on this file{how}"
    try:
        return str(json.loads(result.stdout)["problem"])
    except (ValueError, KeyError, TypeError):
        return f"the process that opened it failed{how}"


def _check_vocabulary(path: Path, header: Header) -> int:
    """Number of tokens. llama.cpp aborts on two tokens with one text and on ids beyond the list."""
    metadata = header.metadata
    tokens = metadata.get("tokenizer.ggml.tokens")
    _text(path, header, "tokenizer.ggml.model")
    if not _is_list_of(tokens, str) or not tokens:
        raise _fault(path, "it has no token list")
    if len(set(tokens)) != len(tokens):
        raise _fault(path, "two tokens have the same text")
    for key, kind in (("scores", float), ("token_type", int)):
        side = metadata.get(f"tokenizer.ggml.{key}")
        if side is not None and (not _is_list_of(side, kind) or len(side) != len(tokens)):
            raise _fault(path, f"tokenizer.ggml.{key} does not match the token list")
    for name in SPECIAL_IDS:
        special = metadata.get(f"tokenizer.ggml.{name}_token_id")
        if special is not None and not (isinstance(special, int) and special < len(tokens)):
            raise _fault(path, f"the {name} token {special!r} is not in the token list")
    return len(tokens)


def _check_shapes(
    path: Path, header: Header, architecture: str, embedding: int, tokens: int
) -> None:
    heads = header.metadata.get(f"{architecture}.attention.head_count")
    for n in heads if isinstance(heads, list) else [heads]:
        if n is not None and (not isinstance(n, int) or not 0 <= n <= embedding):
            raise _fault(path, f"invalid head_count {n!r}")
    shapes = {tensor.name: tensor.shape for tensor in header.tensors}
    rows = shapes.get("token_embd.weight")
    if rows is None:
        raise _fault(path, "it has no token_embd.weight")
    if rows != (embedding, tokens):
        raise _fault(path, f"token_embd.weight is {rows}, not {(embedding, tokens)}")


def _is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(type(item) is kind for item in value)


def _text(path: Path, header: Header, key: str) -> str:
    value = header.metadata.get(key)
    if not isinstance(value, str) or not value:
        raise _fault(path, f"{key} is missing")
    return value


def _optional_text(header: Header, key: str) -> str | None:
    value = header.metadata.get(key)
    return value if isinstance(value, str) and value else None


def _positive(path: Path, header: Header, key: str, most: int) -> int:
    value = header.metadata.get(key)
    if type(value) is not int or not 0 < value <= most:
        raise _fault(path, f"{key} is {'missing' if value is None else one_line(repr(value))}")
    return value


def _fault(path: Path, message: str) -> UserError:
    return UserError(f"not a usable model: {message}", path=path)
