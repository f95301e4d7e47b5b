"""The server: one model, one answer at a time, for programs on this machine.

It listens on the loopback address alone. A web page cannot use it: another Host than this machine's
own is refused (a name that somebody points here), and so is a body that is not announced as JSON,
which a page may send without asking. A client that goes away ends its answer.
"""

from __future__ import annotations

import json
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, count
from typing import Any
from urllib.parse import urlsplit

from workbench.core.errors import UserError, WorkbenchError
from workbench.core.text import quantity
from workbench.inference.chat_model import ChatModel
from workbench.inference.conversation import Conversation
from workbench.inference.generation import Completion
from workbench.serving import openai_api
from workbench.serving.openai_api import BadRequest, ChatRequest, GenerationSettings

LOOPBACK = "127.0.0.1"
OWN_NAMES = ("localhost", "127.0.0.1", "::1")
MAX_BODY_BYTES = 16 << 20
MAX_WAITING = 16
SILENCE_S = 60.0  # a client that says nothing for so long is let go

Tell = Callable[[str], None]


class ModelSlot:
    """The model, its manner, and who may use it: one request at a time, the others wait.

    `renew` is called before each, and may put other weights in place; `tell` is told of each.
    """

    def __init__(
        self,
        talk: Conversation,
        manner: GenerationSettings,
        *,
        renew: Callable[[], None] = lambda: None,
        tell: Tell = lambda line: None,
    ) -> None:
        self.talk, self.manner = talk, manner
        self.renew, self.tell = renew, tell
        self.numbers = count(1)
        self._turn = threading.Lock()
        self._places = threading.Semaphore(MAX_WAITING)

    @property
    def name(self) -> str:
        return self.talk.name

    @property
    def session(self) -> ChatModel:
        return self.talk.session

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Wait for the model; False when too many wait already."""
        if not self._places.acquire(blocking=False):
            yield False
            return
        try:
            with self._turn:
                self.renew()
                yield True
        finally:
            self._places.release()


class Server(ThreadingHTTPServer):
    """Listens once it is made; `serve_forever` answers. Raises OSError for a port that is taken."""

    daemon_threads = True

    def __init__(self, desk: ModelSlot, port: int) -> None:
        self.desk = desk
        super().__init__((LOOPBACK, port), Handler)

    @property
    def address(self) -> str:
        """What clients take for their base URL."""
        return f"http://{LOOPBACK}:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "workbench"
    sys_version = ""
    timeout = SILENCE_S
    server: Server

    def log_message(self, *_: object) -> None:
        """What is told goes through the desk."""

    def do_GET(self) -> None:
        if not self._is_ours():
            return
        if self.path == "/v1/models":
            self._json(200, openai_api.models(self.server.desk.name))
        elif self.path == "/health":
            self._json(200, {"status": "ok"})
        else:
            self._json(
                404, openai_api.fault(f"{self.path} not found; use POST /v1/chat/completions")
            )

    def do_POST(self) -> None:
        if not self._is_ours():
            return
        if self.path != "/v1/chat/completions":
            self.close_connection = True
            self._json(404, openai_api.fault(f"{self.path} not found; use /v1/chat/completions"))
            return
        try:
            desk = self.server.desk
            asked = openai_api.read_request(self._body(), desk.name, desk.manner)
        except BadRequest as error:
            self._json(400, openai_api.fault(str(error), error.field))
            return
        with self.server.desk.turn() as ours:
            if ours:
                self._answer(asked)
            else:
                self._json(
                    503, openai_api.fault("too many requests are waiting", kind="server_error")
                )

    def _is_ours(self) -> bool:
        """Whether the request was meant for this machine, by a program on it."""
        try:
            host = urlsplit(f"//{self.headers.get('Host', '')}").hostname
        except ValueError:
            host = None
        if host in OWN_NAMES:
            return True
        self.close_connection = True
        self._json(403, openai_api.fault("this server only accepts requests from its own machine"))
        return False

    def _body(self) -> Any:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            raise BadRequest("the body needs a Content-Length below 16 MiB")
        raw = self.rfile.read(int(length))
        if self.headers.get_content_type() != "application/json":
            raise BadRequest("the Content-Type is not application/json")
        try:
            return json.loads(raw)
        except (ValueError, RecursionError):
            raise BadRequest("the body is not valid JSON") from None

    def _answer(self, asked: ChatRequest) -> None:
        desk, number = self.server.desk, next(self.server.desk.numbers)
        self._begun = False
        pieces = desk.session.stream(asked.messages, asked.sampling, asked.stop)
        try:
            if asked.stream:
                self._stream(self._watched(pieces), asked, number)
            else:
                for _piece in self._watched(pieces):
                    pass
                self._json(200, openai_api.completion(desk.name, number, self._last))
        except UserError as error:  # too long, or the template does not take it
            self._fail(400, openai_api.fault(str(error), "messages"))
        except WorkbenchError as error:
            self._fail(500, openai_api.fault(str(error), kind="server_error"))
        except OSError:
            desk.tell(f"{number}: the client disconnected")
            self.close_connection = True
        else:
            answer = self._last
            speed = f"{answer.tokens_per_second:,.0f} tokens/s"
            desk.tell(f"{number}: {quantity(answer.n_tokens, 'token')}, {speed}, {answer.stopped}")
        finally:
            pieces.close()  # type: ignore[attr-defined]  # a generator

    @property
    def _last(self) -> Completion:
        answer = self.server.desk.session.last_answer
        assert answer is not None, "the stream has ended"
        return answer

    def _watched(self, pieces: Iterator[str]) -> Iterator[str]:
        """The pieces, for as long as the client is there; raises ConnectionError when it is not."""
        for piece in pieces:
            readable, _, _ = select.select([self.connection], [], [], 0)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                raise ConnectionAbortedError
            yield piece

    def _stream(self, pieces: Iterator[str], asked: ChatRequest, number: int) -> None:
        name = self.server.desk.name
        first = next(pieces, "")  # raises what can be refused before anything is sent
        self._begun = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._event(openai_api.chunk(name, number, None))
        for piece in chain([first], pieces):
            self._event(openai_api.chunk(name, number, piece))
        finish = openai_api.FINISH[self._last.stopped]
        self._event(openai_api.chunk(name, number, "", finish))
        if asked.wants_usage:
            self._event(openai_api.usage_chunk(name, number, self._last))
        self._send(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _fail(self, status: int, value: dict[str, Any]) -> None:
        """Tell the fault: as the answer, or as the last event of one that has begun."""
        if not self._begun:
            self._json(status, value)
            return
        self.close_connection = True
        self._event(value)

    def _event(self, value: dict[str, Any]) -> None:
        self._send(b"data: " + json.dumps(value).encode() + b"\n\n")

    def _send(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _json(self, status: int, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
