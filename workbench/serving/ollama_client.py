"""The Ollama server at `OLLAMA_HOST`: its models, new models from Modelfiles, its settings.

The `ollama` package can neither report upload progress nor ask first whether the server has a file:
both are done here, on its connection. API: https://docs.ollama.com/api

To create a model, its file is hashed, sent if the server lacks it, and named. Invariant: nothing is
written on this machine, and what the server has is not sent again, so a repeat after an
interruption costs only what was missing. Chat and evaluation send the same generation settings.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx
import ollama

from workbench.core.errors import Interrupted, RunFailed, UserError
from workbench.core.sampling import SamplingParams
from workbench.core.text import one_line
from workbench.serving.modelfile import read_modelfile

CHUNK_BYTES = 1 << 20
CONNECT_S, ANSWER_S = 5.0, 900.0  # a server hashes and checks gigabytes before it answers
AWAY = "start it with `ollama serve`, or set OLLAMA_HOST"


class OllamaClient:
    """A context manager. Every trouble is a RunFailed in one line, UserError for the address."""

    def __init__(self) -> None:
        client = _client(trust_env=True)
        if _is_here(str(client._client.base_url)):  # a proxy cannot reach this machine's own
            client._client.close()
            client = _client(trust_env=False)
        self._client = client
        self._http: httpx.Client = client._client
        self.address = str(self._http.base_url).rstrip("/")

    def __enter__(self) -> OllamaClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def version(self) -> str:
        """The server's version: the proof that it is there."""
        with self._told("is not an Ollama server"):
            answer = self._http.get("/api/version", timeout=httpx.Timeout(CONNECT_S * 2))
            answer.raise_for_status()
            return str(answer.json()["version"])

    def has(self, digest: str) -> bool:
        """Whether it holds the file with this digest (`sha256:...`) already."""
        with self._told("did not say whether it has the file"):
            answer = self._http.head(f"/api/blobs/{digest}")
            if answer.status_code != httpx.codes.NOT_FOUND:
                answer.raise_for_status()
            return answer.status_code == httpx.codes.OK

    def upload(self, path: Path, digest: str, sent: Callable[[int], None]) -> None:
        """Send the file; `sent` is told of the bytes so far, and may raise to end it."""
        with self._told("did not accept the file"):
            headers = {"content-length": str(path.stat().st_size)}
            content = _pieces(path, sent)
            answer = self._http.post(f"/api/blobs/{digest}", content=content, headers=headers)
            answer.raise_for_status()

    def create(self, name: str, **request: Any) -> Iterator[str]:
        """Make the model; yields what the server says it does, `success` last."""
        last = ""
        with self._told(f"did not create {name}"):
            for step in self._client.create(name, stream=True, **request):
                last = step.status or ""
                yield last
        if last != "success":
            said = f"; last message: {one_line(last)}" if last else ""
            raise RunFailed(f"{self.address} did not create {name}: it closed the connection{said}")

    def chat(self, **request: Any) -> Iterator[ollama.ChatResponse]:
        """An answer piece by piece; the last piece says why it ended. Closing it hangs up."""
        with self._told(f"did not respond as {request['model']}"):
            yield from self._client.chat(stream=True, **request)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Any trouble on the way as one line that names the server."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout, ConnectionError) as error:
            raise RunFailed(f"no Ollama server at {self.address} ({AWAY})") from error
        except httpx.TimeoutException as error:
            raise RunFailed(f"{self.address} {what}: the request timed out") from error
        except (httpx.TransportError, httpx.InvalidURL) as error:
            broke = "the connection was lost; see the server's log"
            raise RunFailed(f"{self.address} {what}: {broke}") from error
        except httpx.HTTPStatusError as error:
            reason = _reason(error.response)
            raise RunFailed(f"{self.address} {what}: {reason}") from error
        except ollama.ResponseError as error:
            raise RunFailed(f"{self.address} {what}: {one_line(error.error, 300)}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise RunFailed(f"{self.address} {what}: invalid response") from error


def _client(*, trust_env: bool) -> ollama.Client:
    """Ollama's client; it reads OLLAMA_HOST. `trust_env`: take proxies from the environment."""
    timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
    try:
        return ollama.Client(timeout=timeout, trust_env=trust_env)
    except (ValueError, httpx.InvalidURL) as error:
        given = one_line(os.environ.get("OLLAMA_HOST", ""))
        hint = "such as 127.0.0.1:11434, or https://HOST"
        raise UserError(f"OLLAMA_HOST: '{given}' is not a valid address", hint=hint) from error


def _pieces(path: Path, sent: Callable[[int], None]) -> Iterator[bytes]:
    done = 0
    with open(path, "rb") as file:
        while piece := file.read(CHUNK_BYTES):
            yield piece
            done += len(piece)
            sent(done)


def _reason(response: httpx.Response) -> str:
    """What the server says is wrong: its `error`, else the status."""
    status = f"status {response.status_code}"
    try:
        response.read()
        return one_line(str(response.json()["error"]), 300)
    except (ValueError, KeyError, TypeError, httpx.HTTPError):
        return status


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_unspecified


UPLOAD_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class CreateProgress:
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
    doing: Callable[[CreateProgress], None] = lambda doing: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Created:
    """Make the model `name` of the Modelfile in the server that OLLAMA_HOST names.

    `gguf` stands in for the file after its FROM. Raises UserError for a Modelfile or file that is
    not right, RunFailed in one line for all that the server says, Interrupted when asked to stop.
    """

    wanted = read_modelfile(modelfile)
    path = gguf or wanted.gguf
    if not path.is_file():
        raise UserError("file not found", path=path)
    total = path.stat().st_size

    def go_on(what: str, done: int) -> None:
        if should_stop():
            raise Interrupted("stopped; the model was not created in Ollama")
        doing(CreateProgress(what, done, total))

    with OllamaClient() as server:
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
            doing(CreateProgress(word))
        return Created(name, server.address, version, sent)


def _digest(path: Path, read: Callable[[int], None]) -> str:
    """`sha256:` and the file's hash; `read` is told of the bytes so far."""
    hashed, done = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while piece := file.read(UPLOAD_CHUNK_BYTES):
            hashed.update(piece)
            done += len(piece)
            read(done)
    return f"sha256:{hashed.hexdigest()}"


def options(sampling: SamplingParams, stop: Sequence[str], context: int) -> dict[str, Any]:
    """Sampling as Ollama's interface takes it: https://docs.ollama.com/api/chat"""
    return {
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "min_p": sampling.min_p,
        "repeat_penalty": sampling.repeat_penalty,
        "seed": sampling.seed % 2**31,
        "num_predict": sampling.max_tokens,
        "num_ctx": context,
        "stop": list(stop),
    }
