"""A Modelfile becomes a model in Ollama: the file is hashed, sent if it is not there, and named.

Invariant: nothing is written on this machine, and what the server holds already is not sent again,
so a repeat after a break costs only what was missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workbench.core.errors import Interrupted, UserError
from workbench.serving.modelfile import read_modelfile

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Doing:
    """What goes on: `what` in words, and of a file `done` of `total` bytes (0 of 0 else)."""

    what: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class Created:
    """`sent_bytes` is 0 when the server had the file already."""

    name: str
    address: str
    version: str
    sent_bytes: int


def create_model(
    modelfile: Path,
    name: str,
    *,
    gguf: Path | None = None,
    doing: Callable[[Doing], None] = lambda doing: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Created:
    """Make the model `name` of the Modelfile in the server that OLLAMA_HOST names.

    `gguf` stands in for the file after its FROM. Raises UserError for a Modelfile or file that is
    not right, RunFailed in one line for all that the server says, Interrupted when asked to stop.
    """
    from workbench.serving.ollama_client import Server

    wanted = read_modelfile(modelfile)
    path = gguf or wanted.gguf
    if not path.is_file():
        raise UserError("file not found", path=path)
    total = path.stat().st_size

    def go_on(what: str, done: int) -> None:
        if stopping():
            raise Interrupted("stopped; the model was not created in Ollama")
        doing(Doing(what, done, total))

    with Server() as server:
        version = server.version()
        digest = _digest(path, lambda done: go_on("reading the file", done))
        sent = 0 if server.has(digest) else total
        if sent:
            server.upload(path, digest, lambda done: go_on("uploading", done))
        said = server.create(
            name,
            files={path.name: digest},
            template=wanted.template,
            system=wanted.system,
            parameters=wanted.parameters or None,
        )
        for word in said:
            doing(Doing(word))
        return Created(name, server.address, version, sent)


def _digest(path: Path, read: Callable[[int], None]) -> str:
    """`sha256:` and the file's hash; `read` is told of the bytes so far."""
    hashed, done = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while piece := file.read(CHUNK_BYTES):
            hashed.update(piece)
            done += len(piece)
            read(done)
    return f"sha256:{hashed.hexdigest()}"
