"""Rows, a stand-in model and a local HTTP server for the evaluation's tests."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from workbench.dataset.rows import Message, Place, Row
from workbench.pipeline.evaluation.questions import Expected, ExpectedLoss, Key, Question, Reply


def row(
    prompt: str, expected: str = "", category: str = "", must_contain: tuple[str, ...] = ()
) -> Row:
    said = [Message("user", prompt)] + ([Message("assistant", expected)] if expected else [])
    return Row(Place("data/held.jsonl", 1), tuple(said), "", category, must_contain)


class Parrot:
    """Answers with what `say` makes of a question's text and seed; remembers what it was asked."""

    def __init__(self, say: Callable[[Question], str], identity: str = "parrot") -> None:
        self._say, self._identity = say, identity
        self.asked: list[Key] = []
        self.weighed: list[int] = []

    @property
    def identity(self) -> dict[str, Any]:
        return {"gguf": self._identity}

    def replies(
        self, questions: Sequence[Question], known: Container[Key], should_stop: Callable[[], bool]
    ) -> Iterator[Reply]:
        for question in questions:
            if question.key in known:
                continue
            if should_stop():
                return
            self.asked.append(question.key)
            yield Reply(*question.key, self._say(question), "stop", 3, 0.01)

    @property
    def weighs(self) -> bool:
        return True

    def weigh(
        self, expected: Sequence[Expected], known: Container[int], should_stop: Callable[[], bool]
    ) -> Iterator[ExpectedLoss]:
        """A token a word, each of half a nat; an answer "?" cannot be weighed."""
        for one in expected:
            if one.index in known:
                continue
            if should_stop():
                return
            self.weighed.append(one.index)
            words = one.messages[-1].content.split()
            if words == ["?"]:
                yield ExpectedLoss(one.index, problem="cannot be read")
            else:
                yield ExpectedLoss(one.index, len(words), len(words) / 2)

    def close(self) -> None:
        pass


class Server:
    """What a server was sent, and how it answers: `answer` gives (status, body bytes, headers)."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.answer: Callable[[Any], tuple[int, bytes, dict[str, str]]] = lambda _: (404, b"", {})
        self.url = ""


@contextmanager
def http_server() -> Iterator[Server]:
    """A server on this machine that ends with the block."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            server.requests.append((self.path, dict(self.headers), json.loads(raw)))
            status, body, headers = server.answer(server.requests[-1][2])
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
