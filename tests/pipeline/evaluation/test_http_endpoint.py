import json
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.pipeline.evaluation.helpers import Server, http_server, row
from workbench.core.errors import UserError
from workbench.core.sampling import SamplingParams
from workbench.pipeline.evaluation.http_endpoint import (
    EndpointAnswerer,
    ollama_answerer,
    openai_answerer,
)
from workbench.pipeline.evaluation.questions import (
    GenerationSettings,
    Reply,
    fingerprint,
    questions_for,
)
from workbench.pipeline.evaluation.stage import open_answerer

KEY = "sk-secret-canary"
ASKING = GenerationSettings(
    SamplingParams(temperature=0.5, top_k=7, max_tokens=9), ("<end>",), 2048
)
QUESTIONS = questions_for([row(f"prompt {n}") for n in range(6)], 1, 1)


@pytest.fixture
def server() -> Iterator[Server]:
    with http_server() as running:
        yield running


def chat_answer(text: str, reason: str = "stop") -> tuple[int, bytes, dict[str, str]]:
    choice = {"message": {"content": text}, "finish_reason": reason}
    body = {"choices": [choice], "usage": {"completion_tokens": 4}}
    return 200, json.dumps(body).encode(), {}


def openai(server: Server, key: str = KEY) -> EndpointAnswerer:
    return openai_answerer(
        f"{server.url}/v1", "small", ASKING, {"OPENAI_API_KEY": key}, pause_s=0.0, timeout_s=5.0
    )


def replies(answerer: EndpointAnswerer, n: int = 6) -> list[Reply]:
    return list(answerer.replies(QUESTIONS[:n], set(), lambda: False))


def test_tools_go_with_the_question_and_a_call_is_an_answer(server: Server) -> None:
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {}}}
    asked = questions_for([replace(row("where?"), tools=(tool,))], 1, 1)
    made = {"id": "1", "function": {"name": "look_up", "arguments": "{}"}}
    message = {"content": None, "tool_calls": [made]}
    choice = {"message": message, "finish_reason": "tool_calls"}
    server.answer = lambda _: (200, json.dumps({"choices": [choice]}).encode(), {})
    (reply,) = openai(server).replies(asked, set(), lambda: False)
    assert (reply.text, reply.stopped) == ('{"name": "look_up", "arguments": {}}', "stop")
    assert server.requests[0][2]["tools"] == [tool]
    assert fingerprint(asked, ASKING) != fingerprint(questions_for([row("where?")], 1, 1), ASKING)


def test_an_openai_server_is_asked_by_the_published_interface(server: Server) -> None:
    server.answer = lambda _: chat_answer("hello<end>more")
    (reply,) = replies(openai(server), 1)
    assert (reply.text, reply.stopped, reply.n_tokens) == ("hello", "stop", 4)
    path, headers, body = server.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert body["model"] == "small" and body["stop"] == ["<end>"]
    assert body["messages"] == [{"role": "user", "content": "prompt 0"}]
    assert (body["temperature"], body["max_tokens"]) == (0.5, 9)
    assert body["seed"] == QUESTIONS[0].seed
    assert not {"top_k", "min_p", "repeat_penalty"} & set(body), "OpenAI refuses unknown keys"


def test_a_cut_answer_says_so(server: Server) -> None:
    server.answer = lambda _: chat_answer("hello", "length")
    assert replies(openai(server), 1)[0].stopped == "length"


def test_ollama_is_asked_by_its_own_interface(server: Server) -> None:
    said = {"message": {"content": "hi"}, "done_reason": "length", "eval_count": 3}
    server.answer = lambda _: (200, json.dumps(said).encode(), {})
    environment = {"OLLAMA_HOST": server.url.removeprefix("http://"), "OPENAI_API_KEY": KEY}
    (reply,) = replies(ollama_answerer("blop", ASKING, environment), 1)
    assert (reply.text, reply.stopped, reply.n_tokens) == ("hi", "length", 3)
    path, headers, body = server.requests[0]
    assert path == "/api/chat" and "Authorization" not in headers
    assert body["options"]["top_k"] == 7 and body["options"]["num_ctx"] == 2048
    assert body["options"]["num_predict"] == 9 and body["stream"] is False


def test_known_questions_are_not_asked(server: Server) -> None:
    server.answer = lambda _: chat_answer("x")
    known = {question.key for question in QUESTIONS[:4]}
    found = list(openai(server).replies(QUESTIONS, known, lambda: False))
    assert [reply.index for reply in found] == [4, 5] and len(server.requests) == 2


def test_a_busy_server_is_asked_again(server: Server) -> None:
    answers = iter([(429, b"", {}), (503, b"", {}), chat_answer("at last")])
    server.answer = lambda _: next(answers)
    assert replies(openai(server), 1)[0].text == "at last"


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (200, b"<html>", "sent an invalid response: <html>"),
        (200, b'{"choices": []}', "sent an invalid response"),
        (
            200,
            b'{"choices": [{"message": {"content": null}, "finish_reason": "stop"}]}',
            "sent an invalid response",
        ),
        (200, b"[1]", "sent an invalid response"),
        (400, b'{"error": "no such model"}', "returned 400: .*no such model"),
        (401, b"bad key", "returned 401: bad key; is OPENAI_API_KEY set"),
        (500, b"broken", "returned 500: broken"),
    ],
)
def test_what_a_server_does_wrong_is_one_line(
    server: Server, status: int, body: bytes, message: str
) -> None:
    server.answer = lambda _: (status, body, {})
    (reply,) = replies(openai(server), 1)
    assert reply.text == "" and "\n" not in reply.problem
    assert re.search(message, reply.problem)


def test_a_server_that_is_down_is_given_up(server: Server) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answerer = openai_answerer(f"http://127.0.0.1:{port}/v1", "m", ASKING, {}, pause_s=0.0)
    problems = [reply.problem for reply in replies(answerer)]
    assert all("did not respond: " in problem for problem in problems[:3])
    assert all("did not respond" in problem for problem in problems[3:])


def test_a_slow_server_costs_its_time_limit(server: Server) -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
    answerer = openai_answerer(url, "m", ASKING, {}, pause_s=0.0, timeout_s=0.1)
    assert "did not respond" in replies(answerer, 1)[0].problem
    silent.close()


def test_the_key_follows_no_redirect_and_shows_in_no_message(server: Server) -> None:
    with http_server() as other:
        server.answer = lambda _: (302, b"", {"Location": f"{other.url}/v1"})
        assert "returned 302" in replies(openai(server), 1)[0].problem
        assert other.requests == []
    server.answer = lambda _: (400, f"bad key {KEY}".encode(), {})
    problem = replies(openai(server), 1)[0].problem
    assert KEY not in problem and "***" in problem
    assert KEY not in json.dumps(openai(server).identity) and KEY not in repr(openai(server))


def test_the_key_is_not_sent_unprotected_to_strangers() -> None:
    with pytest.raises(UserError, match="OPENAI_API_KEY would be sent to example.org unencrypted"):
        openai_answerer("http://example.org/v1", "m", ASKING, {"OPENAI_API_KEY": KEY})
    assert openai_answerer("http://example.org/v1", "m", ASKING, {})


def test_an_endless_answer_is_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.pipeline.evaluation.http_endpoint.MAX_REPLY_BYTES", 1000)
    server.answer = lambda _: chat_answer("x" * 5000)
    assert "sent more than" in replies(openai(server), 1)[0].problem


def test_names_of_models(tmp_path: Path) -> None:
    def opened(spec: Path | str) -> object:
        return open_answerer(spec, ASKING, environment={}).identity

    assert opened("openai:https://host/v1#m") == {
        "endpoint": "https://host/v1/chat/completions",
        "model": "m",
    }
    assert opened("ollama:blop") == {"endpoint": "http://127.0.0.1:11434/api/chat", "model": "blop"}
    with pytest.raises(UserError, match="does not name a model"):
        opened("openai:https://host/v1")
    with pytest.raises(UserError, match="is not a URL"):
        opened("openai:host#m")
    with pytest.raises(UserError, match="GGUF file not found"):
        opened(tmp_path / "none.gguf")
