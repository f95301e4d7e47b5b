"""The server as its clients see it: through real connections on the loopback address."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.inference.helpers import Tiny, write_tiny
from workbench.cli import main
from workbench.core.sampling import SamplingParams
from workbench.dataset.rows import Message
from workbench.inference.conversation import Conversation
from workbench.inference.session import Session
from workbench.pipeline.evaluation.http_endpoint import openai_answerer
from workbench.pipeline.evaluation.questions import GenerationSettings, Question
from workbench.serving import http_server as module
from workbench.serving import openai_api
from workbench.serving.http_server import ModelSlot, Server

SAYS = "Helo wrd!"
JSON = {"Content-Type": "application/json"}
HI = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="module")
def ggufs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One that says a sentence and stops, one that never stops."""
    folder = tmp_path_factory.mktemp("models")
    says = write_tiny(folder / "says.gguf", Tiny(says=SAYS.encode()))
    return says, write_tiny(folder / "talks.gguf", Tiny(says=b"a", then_stops=False, context=8192))


@contextmanager
def serving(gguf: Path, told: list[str] | None = None) -> Iterator[Server]:
    manner = openai_api.GenerationSettings(SamplingParams(temperature=0, max_tokens=40))
    tell = (lambda line: None) if told is None else told.append
    with Session.open(gguf, context=8192) as session:
        server = Server(ModelSlot(Conversation("tiny", session), manner, tell=tell), 0)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def ask(
    server: Server, body: Any, path: str = "/v1/chat/completions", headers: Any = JSON
) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=30)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request("POST" if body is not None else "GET", path, raw, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_whole_and_streamed_answers_are_the_same(ggufs: tuple[Path, Path]) -> None:
    told = list[str]()
    with serving(ggufs[0], told) as server:
        status, text = ask(server, {"messages": HI, "model": "tiny"})
        whole = json.loads(text)
        assert status == 200 and whole["choices"][0]["message"]["content"] == SAYS
        options = {"stream": True, "stream_options": {"include_usage": True}}
        status, text = ask(server, {"messages": HI, **options})
        events = text.split("\n\n")
        assert status == 200 and events[-2:] == ["data: [DONE]", ""]
        parts = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
        choices = [part["choices"][0] for part in parts if part["choices"]]
        assert "".join(choice["delta"].get("content", "") for choice in choices) == SAYS
        assert choices[-1]["finish_reason"] == whole["choices"][0]["finish_reason"] == "stop"
        total = whole["usage"]["total_tokens"]
        assert parts[-1]["usage"]["total_tokens"] == total and len(choices) > 4
        assert json.loads(ask(server, None, "/v1/models")[1])["data"][0]["id"] == "tiny"
        assert ask(server, None, "/health") == (200, '{"status": "ok"}')
    assert [line.partition(" tokens")[0] for line in told] == ["1: 10", "2: 10"]


@pytest.mark.parametrize(
    ("body", "path", "headers", "status", "said"),
    [
        (b"{", "/v1/chat/completions", JSON, 400, "the body is not valid JSON"),
        (b"[" * 100_000, "/v1/chat/completions", JSON, 400, "the body is not valid JSON"),
        ({"messages": HI}, "/v1/chat/completions", {}, 400, "is not application/json"),
        ({"messages": HI, "n": 3}, "/v1/chat/completions", JSON, 400, "'n' cannot be 3"),
        (
            {"messages": HI},
            "/v1/embeddings",
            JSON,
            404,
            "/v1/embeddings not found; use /v1/chat/completions",
        ),
        (None, "/", JSON, 404, "/ not found; use POST /v1/chat/completions"),
        ({"messages": HI}, "/v1/chat/completions", JSON | {"Host": "evil"}, 403, "own machine"),
        (None, "/v1/models", {"Host": "evil:80"}, 403, "own machine"),
        (
            {"messages": [{"role": "user", "content": "x" * 9000}]},
            "/v1/chat/completions",
            JSON,
            400,
            "tokens, but the context size is",
        ),
    ],
)
def test_faults_are_told_as_clients_expect_them(
    ggufs: tuple[Path, Path], body: Any, path: str, headers: Any, status: int, said: str
) -> None:
    with serving(ggufs[0]) as server:
        got, text = ask(server, body, path, headers)
        assert got == status and said in json.loads(text)["error"]["message"]
        assert ask(server, {"messages": HI})[0] == 200, "and the next one is answered"


def test_a_body_without_a_length_is_refused(ggufs: tuple[Path, Path]) -> None:
    with serving(ggufs[0]) as server:
        with socket.create_connection(("127.0.0.1", server.server_address[1])) as plain:
            head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
            plain.sendall(head + b"Content-Length: 99999999999\r\n\r\n")
            assert b"400" in plain.recv(100)


def test_requests_at_the_same_time_wait_for_each_other(ggufs: tuple[Path, Path]) -> None:
    with serving(ggufs[0]) as server, ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: ask(server, {"messages": HI}), range(6)))
    assert {status for status, _ in answers} == {200}
    said = {json.loads(text)["choices"][0]["message"]["content"] for _, text in answers}
    assert said == {SAYS}


def test_too_many_are_turned_away(
    ggufs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 0)
    with serving(ggufs[0]) as server:
        assert ask(server, {"messages": HI})[0] == 503


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_ends_its_answer(ggufs: tuple[Path, Path], stream: bool) -> None:
    told = list[str]()
    body = json.dumps({"messages": HI, "stream": stream, "max_tokens": 8000}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}"
    head += "\r\nContent-Type: application/json\r\n\r\n"
    with serving(ggufs[1], told) as server:
        with socket.create_connection(("127.0.0.1", server.server_address[1])) as plain:
            plain.sendall(head.encode() + body)
            if stream:
                assert plain.recv(20).startswith(b"HTTP/1.1 200")
        status, text = ask(server, {"messages": HI, "max_tokens": 5})
        assert status == 200 and json.loads(text)["choices"][0]["message"]["content"] == "aaaaa"
    assert any(line.endswith(": the client disconnected") for line in told)  # either may be first


def test_an_evaluation_can_ask_it(ggufs: tuple[Path, Path]) -> None:
    """The client that a preset's `openai:URL#MODEL` uses."""
    with serving(ggufs[0]) as server:
        asking = GenerationSettings(SamplingParams(temperature=0, max_tokens=40), (), 512)
        answerer = openai_answerer(server.address, "tiny", asking, {})
        question = Question(0, 0, (Message("user", "hi"),), seed=1)
        (reply,) = answerer.replies([question], (), lambda: False)
    assert reply.text == SAYS


def test_the_command_until_ctrl_c(ggufs: tuple[Path, Path]) -> None:
    command = [sys.executable, "-m", "workbench", "serve", str(ggufs[0]), "--port", "0"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=os.environ) as child:
        assert child.stdout is not None
        address = child.stdout.readline().strip()
        port = int(address.rpartition(":")[2].partition("/")[0])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("POST", "/v1/chat/completions", json.dumps({"messages": HI}), JSON)
        assert SAYS in connection.getresponse().read().decode()
        connection.close()
        child.send_signal(signal.SIGINT)
        _, told = child.communicate(timeout=30)
        assert child.returncode == 0 and "serving says as model says" in told


def test_a_port_that_is_taken_is_one_line(
    ggufs: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.inference.gguf_check._try_in_child", lambda path, timeout_s: "")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", str(ggufs[0]), "--port", str(port)]) == 2
    told = capsys.readouterr().err
    assert f"port {port}: " in told and told.count("\n") == 1
    assert main(["serve", str(ggufs[0]), "--port", "70000"]) == 2
