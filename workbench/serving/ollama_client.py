"""The Ollama server that `OLLAMA_HOST` names, spoken to through Ollama's own client.

The client can neither tell how far an upload is nor ask first whether the server has the file: both
are done here, on its connection. API: https://docs.ollama.com/api
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx
import ollama

from workbench.core.errors import RunFailed, UserError
from workbench.core.text import one_line

CHUNK_BYTES = 1 << 20
CONNECT_S, ANSWER_S = 5.0, 900.0  # a server hashes and checks gigabytes before it answers
AWAY = "start it with `ollama serve`, or set OLLAMA_HOST"


class Server:
    """A context manager. Every trouble is a RunFailed in one line, UserError for the address."""

    def __init__(self) -> None:
        client = _client(trust_env=True)
        if _is_here(str(client._client.base_url)):  # a proxy cannot reach this machine's own
            client._client.close()
            client = _client(trust_env=False)
        self._client = client
        self._http: httpx.Client = client._client
        self.address = str(self._http.base_url).rstrip("/")

    def __enter__(self) -> Server:
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
