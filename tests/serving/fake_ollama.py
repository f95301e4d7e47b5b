"""A small server that follows Ollama's published API (docs/api.md of ollama/ollama, August 2026).

    GET  /api/version            {"version": ...}
    HEAD /api/blobs/sha256:...   200 or 404
    POST /api/blobs/sha256:...   201; 200 when it is there; 400 when the digest is another
    POST /api/create             a stream of {"status": ...} lines, `success` last; 400 with
                                 {"error": ...} for a bad name; {"error": ...} amid the stream

`fault` makes it fail in one way. Requests are kept in `asked`, bodies of creations in `created`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FULL = "write /models/blobs/sha256-1: no space left on device"


class Fake(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, fault: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.fault = fault
        self.blobs: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.created: list[dict[str, Any]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Fake

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.server.asked.append(f"GET {self.path}")
        if self.server.fault == "another":
            self._answer(200, b"<html>It works!</html>", "text/html")
        else:
            self._json(200, {"version": "0.22.1"})

    def do_HEAD(self) -> None:
        self.server.asked.append("HEAD blob")
        known = self.path.rpartition("/")[2] in self.server.blobs
        self._answer(200 if known else 404, b"")

    def do_POST(self) -> None:
        if self.path.startswith("/api/blobs/"):
            self.server.asked.append("POST blob")
            self._blob(self.path.rpartition("/")[2])
        else:
            self.server.asked.append("POST create")
            self._create(json.loads(self._body()))

    def _blob(self, digest: str) -> None:
        if self.server.fault == "dies":
            self.rfile.read(10_000)
            self.close_connection = True
            self.connection.close()
            return
        if self.server.fault == "full":
            self.rfile.read(10_000)
            self.close_connection = True
            self._json(500, {"error": FULL})
            return
        body = self._body()
        got = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if got != digest:
            self._json(400, {"error": f'digest mismatch, expected "{digest}", got "{got}"'})
            return
        self.server.blobs[digest] = body
        self._answer(201, b"")

    def _create(self, request: dict[str, Any]) -> None:
        self.server.created.append(request)
        if not request["model"] or "//" in request["model"]:
            self._json(400, {"error": "invalid model name"})
            return
        digests = list(request["files"].values())
        if any(digest not in self.server.blobs for digest in digests):
            self._json(400, {"error": f'blob "{digests[0]}" not found'})
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in self._story(digests[0]):
            data = json.dumps(line).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        if self.server.fault == "breaks off":
            self.close_connection = True
            self.connection.close()
            return
        self.wfile.write(b"0\r\n\r\n")

    def _story(self, digest: str) -> Iterator[dict[str, str]]:
        yield {"status": "parsing GGUF"}
        if self.server.fault == "refuses":
            yield {"error": "unknown type: unsupported architecture"}
            return
        yield {"status": f"using existing layer {digest}"}
        if self.server.fault in ("stops", "breaks off"):
            return
        yield {"status": "writing manifest"}
        yield {"status": "success"}

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _json(self, status: int, value: dict[str, Any]) -> None:
        self._answer(status, json.dumps(value).encode(), "application/json")

    def _answer(self, status: int, body: bytes, kind: str = "") -> None:
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def running(fault: str = "") -> Iterator[Fake]:
    """The server on a port of its own."""
    server = Fake(fault)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
