"""A stand-in for the hub: the part of its file API that fetching a model uses, on loopback.

Follows what the published client asks for: model info by revision, the tree of a commit, and files
by HEAD and GET with the commit and the ETag in headers. It can be told to fail as the hub does.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "c0ffee" + "0" * 34
OLDER = "0dd" + "0" * 37


@dataclass
class Repository:
    """A model's files by revision. `gated` needs the token; `cut` names files cut short once;
    `pause_s` lies between the quarters of the weights, which so come last."""

    files: dict[str, bytes]
    older: dict[str, bytes] = field(default_factory=dict)
    gated: str = ""
    cut: set[str] = field(default_factory=set)
    broken: int = 0
    pause_s: float = 0.0

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        known = {"main": COMMIT, COMMIT: COMMIT, OLDER: OLDER}
        commit = known.get(revision)
        return None if commit is None else (commit, self.older if commit == OLDER else self.files)


@dataclass
class Hub:
    """What the server knows, and what it was asked."""

    repositories: dict[str, Repository]
    url: str = ""
    asked: list[str] = field(default_factory=list)
    resumed: dict[str, int] = field(default_factory=dict)  # file -> byte that it went on from


@contextmanager
def serve(repositories: dict[str, Repository]) -> Iterator[Hub]:
    """The stand-in at work on a free port of the loopback interface."""
    hub = Hub(repositories)
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *args: Any) -> None:
        pass

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        self.hub.asked.append(f"{self.command} {path}")
        info = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?", path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        found = info or file
        repository = self.hub.repositories.get(found[1]) if found else None
        if found is None or repository is None:
            return self._error(401, "RepoNotFound")
        if repository.broken:
            return self._error(repository.broken, "")
        at = repository.at((info[3] or "main") if info else found[2])
        if at is None:
            return self._error(404, "RevisionNotFound")
        if info:
            return self._json(_info(found[1], *at) if info[2] != "tree" else _tree(at[1]))
        if repository.gated and self.headers.get("Authorization") != f"Bearer {repository.gated}":
            return self._error(401, "GatedRepo")
        self._file(repository, at[0], found[3], at[1])

    def _file(self, repository: Repository, commit: str, name: str, files: Any) -> None:
        if name not in files:
            return self._error(404, "EntryNotFound")
        data = files[name]
        start = int((self.headers.get("Range") or "bytes=0-")[6:].partition("-")[0])
        if start:
            self.hub.resumed[name] = start
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{_blob(data)}"')
        self.send_header("Content-Length", str(len(data) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        if name in repository.cut:
            repository.cut.discard(name)
            self.wfile.write(data[start : start + (len(data) - start) // 2])
            self.close_connection = True
            return
        quarter = max(1, -(-(len(data) - start) // 4))
        for at in range(start, len(data), quarter):
            self.wfile.write(data[at : at + quarter])
            time.sleep(repository.pause_s if name.endswith(".safetensors") else 0)

    def _json(self, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def _error(self, status: int, code: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", "no")
        self.send_header("Content-Length", "0")
        self.end_headers()


def _info(name: str, commit: str, files: dict[str, bytes]) -> dict[str, Any]:
    siblings = [{"rfilename": path} for path in files]
    return {"id": name, "modelId": name, "sha": commit, "siblings": siblings, "tags": []}


def _tree(files: dict[str, bytes]) -> list[dict[str, Any]]:
    return [
        {"type": "file", "path": path, "size": len(data), "oid": _blob(data)}
        for path, data in files.items()
    ]


def _blob(data: bytes) -> str:
    """Git's name of a blob: what the hub gives as the ETag of a small file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
