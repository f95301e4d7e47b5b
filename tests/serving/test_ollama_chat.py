"""Talking to a model in Ollama: the same words, the same ends, faults in one line."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Iterator

import pytest

from tests.pipeline.evaluation.helpers import Server, http_server
from workbench.cli import main
from workbench.console.chat import chat, chat_once
from workbench.core.errors import UserError
from workbench.core.sampling import SamplingParams
from workbench.dataset.rows import Message
from workbench.inference.conversation import ChatSettings
from workbench.serving import ollama_chat
from workbench.serving.ollama_chat import OllamaChatModel, OllamaSource
from workbench.serving.ollama_client import OllamaClient

ASK = (Message("system", "be brief"), Message("user", "hello"))
WARM = SamplingParams(temperature=0.5, top_k=7, max_tokens=9)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Asks for the version are answered elsewhere: the helper's server takes POST alone."""
    monkeypatch.setattr(OllamaClient, "version", lambda _self: "0.22.1")
    with http_server() as running:
        monkeypatch.setenv("OLLAMA_HOST", running.url)
        yield running


def lines(*words: str, reason: str = "stop") -> tuple[int, bytes, dict[str, str]]:
    """An answer as the server streams it."""
    pieces = [
        {"model": "m", "message": {"role": "assistant", "content": word}, "done": False}
        for word in words
    ]
    pieces.append(
        {
            "model": "m",
            "message": {"role": "assistant", "content": ""},
            "done": True,
            "done_reason": reason,
            "eval_count": 5,
            "prompt_eval_count": 11,
        }
    )
    body = "".join(json.dumps(piece) + "\n" for piece in pieces).encode()
    return 200, body, {"Content-Type": "application/x-ndjson"}


def talker() -> OllamaChatModel:
    return OllamaSource("m").open(context=2048)


def test_an_answer_comes_in_pieces_and_is_counted(server: Server) -> None:
    server.answer = lambda _: lines("Hel", "lo ", "wörld")
    talk = talker()
    assert list(talk.stream(ASK, WARM, ["<end>"])) == ["Hel", "lo ", "wörld"]
    answer = talk.last_answer
    assert answer and (answer.text, answer.stopped) == ("Hello wörld", "stop")
    assert (answer.n_tokens, answer.prompt_tokens) == (5, 11) and answer.first_token_s > 0
    path, _, body = server.requests[0]
    assert path == "/api/chat" and body["model"] == "m" and body["stream"] is True
    assert body["messages"] == [{"role": m.role, "content": m.content} for m in ASK]
    told = body["options"]
    assert (told["top_k"], told["num_ctx"], told["num_predict"]) == (7, 2048, 9)
    assert told["stop"] == ["<end>"]
    talk.close()


def test_how_an_answer_ends(server: Server) -> None:
    talk = talker()
    server.answer = lambda _: lines("abc", reason="length")
    list(talk.stream(ASK, WARM))
    assert talk.last_answer and talk.last_answer.stopped == "length"
    server.answer = lambda _: lines("ab<e", "nd>c", "d")
    assert "".join(talk.stream(ASK, WARM, ["<end>"])) == "ab"
    assert talk.last_answer.stopped == "stop"
    server.answer = lambda _: lines("a", "b", "c")
    stream = talk.stream(ASK, WARM)
    assert next(stream) == "a"
    talk.cancel()
    assert list(stream) == [] and talk.last_answer.stopped == "cancelled"
    with pytest.raises(UserError, match="does not report alternative tokens"):
        talk.alternatives()
    talk.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((404, b'{"error": "model \'m\' not found"}', {}), "did not respond as m: .*not found"),
        ((500, b"broken", {}), "did not respond as m: .*broken"),
        ((200, b"<html>\n", {}), "invalid response"),
    ],
)
def test_what_the_server_does_wrong_is_one_line(
    server: Server, answer: tuple[int, bytes, dict[str, str]], said: str
) -> None:
    server.answer = lambda _: answer
    talk = talker()
    with pytest.raises(UserError, match=said) as caught:
        list(talk.stream(ASK, WARM))
    assert "\n" not in str(caught.value)
    talk.close()


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{free.getsockname()[1]}")
    with pytest.raises(UserError, match="no Ollama server at .*ollama serve"):
        OllamaSource("m").open(context=64)


def test_a_talk_in_the_terminal_and_for_scripts(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer = lambda _: lines("Fine.")
    typed, out = iter(["hello", "/tokens", "again"]), io.StringIO()

    def read(_prompt: str) -> str:
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    chat({"m": OllamaSource("m")}, ChatSettings(), read=read, out=out)
    shown = out.getvalue()
    assert shown.count("Fine.\n[5 tokens, ") == 2 and "does not report alternative tokens" in shown
    assert [m["content"] for m in server.requests[-1][2]["messages"]] == ["hello", "Fine.", "again"]
    both = {"m": OllamaSource("m"), "n": OllamaSource("n")}
    chat_once(both, "hi", ChatSettings(), out=out)
    assert out.getvalue().endswith("# m\nFine.\n# n\nFine.\n")
    assert main(["chat", "ollama:m", "--prompt", "hi", "--set", "top_k=3"]) == 0
    assert capsys.readouterr().out == "Fine.\n"
    assert server.requests[-1][2]["options"]["top_k"] == 3
    assert main(["chat", "ollama:m", "--prompt", "hi", "--compare", "ollama:n"]) == 0
    assert capsys.readouterr().out == "# ollama:m\nFine.\n# ollama:n\nFine.\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["chat", "ollama:m", "--follow"], "only apply to a run"),
        (["chat", "ollama:m", "--compare", "base"], "--compare base needs a run"),
        (["serve", "ollama:m"], "Ollama already serves its own models"),
    ],
)
def test_what_is_for_runs_alone(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_the_options_are_those_that_an_evaluation_asks_with() -> None:
    from tests.pipeline.evaluation.helpers import row
    from workbench.pipeline.evaluation.http_endpoint import _ollama_body
    from workbench.pipeline.evaluation.questions import GenerationSettings, questions_for

    (question,) = questions_for([row("x")], 1, 1)
    asking = GenerationSettings(WARM, ("<end>",), 2048)
    mine = ollama_chat.options(asking.sampling_for(question), asking.stop, asking.context)
    assert _ollama_body("m", question, asking)["options"] == mine
