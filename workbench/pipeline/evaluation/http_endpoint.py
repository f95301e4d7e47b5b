"""A model behind HTTP: any OpenAI-compatible server, or Ollama through its own interface.

The key is read from the environment by the caller, sent only over https or to this machine, never
along a redirect, and never written anywhere; error texts are cleaned of it.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from workbench.core.errors import UserError, WorkbenchError
from workbench.core.text import one_line
from workbench.inference.stop_sequences import TextStream
from workbench.pipeline.evaluation.endpoint_messages import answer_text, ollama_turns, openai_turns
from workbench.pipeline.evaluation.questions import (
    Expected,
    ExpectedLoss,
    GenerationSettings,
    Key,
    Question,
    Reply,
)
from workbench.serving.ollama_client import options

KEY_VARIABLE = "OPENAI_API_KEY"
OLLAMA_VARIABLE = "OLLAMA_HOST"
OLLAMA_DEFAULT = "http://127.0.0.1:11434"
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
MAX_REPLY_BYTES = 8 << 20
TIMEOUT_S = 300.0
TRIES, PAUSE_S = 3, 1.0
GIVE_UP_AFTER = 3  # questions in a row without an answer
OPENAI_STOPS = 4  # more are refused; all of them are applied here besides


class EndpointError(WorkbenchError):
    """The server did not answer a question; the message is one line without the key."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """urllib would take the Authorization header along."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        return None


@dataclass(frozen=True)
class EndpointReply:
    """What a server's answer came to."""

    text: str
    stopped: str
    n_tokens: int


class EndpointAnswerer:
    """Asks one question after the other; a server that stays silent is given up, not waited for."""

    def __init__(
        self,
        url: str,
        model: str,
        asking: GenerationSettings,
        *,
        body: Callable[[str, Question, GenerationSettings], dict[str, Any]],
        read: Callable[[Any], EndpointReply],
        key: str = "",
        timeout_s: float = TIMEOUT_S,
        pause_s: float = PAUSE_S,
    ) -> None:
        self.url, self.model, self._asking, self._key = url, model, asking, key
        self._body, self._read = body, read
        self._timeout_s, self._pause_s = timeout_s, pause_s
        self._opener = urllib.request.build_opener(_NoRedirect)
        _check_key_is_safe(url, key)

    @property
    def identity(self) -> dict[str, Any]:
        return {"endpoint": self.url, "model": self.model}

    def replies(
        self, questions: Sequence[Question], known: Container[Key], should_stop: Callable[[], bool]
    ) -> Iterator[Reply]:
        """Replies in order. After three questions in a row without answer the rest is not asked."""
        silent = 0
        for question in questions:
            if question.key in known:
                continue
            if should_stop():
                return
            if silent >= GIVE_UP_AFTER:
                yield Reply(*question.key, problem=f"skipped: {self.url} did not respond")
                continue
            reply = self._reply(question)
            silent = silent + 1 if reply.problem else 0
            yield reply

    @property
    def trouble(self) -> UserError | None:
        """A server that is not there says so question by question."""
        return None

    @property
    def weighs(self) -> bool:
        """The interfaces give no probabilities of a text that the server has not written."""
        return False

    def weigh(
        self, expected: Sequence[Expected], known: Container[int], should_stop: Callable[[], bool]
    ) -> Iterator[ExpectedLoss]:
        return iter(())

    def _reply(self, question: Question) -> Reply:
        started = time.perf_counter()
        try:
            said = self._say(question)
        except EndpointError as error:
            return Reply(*question.key, problem=str(error))
        text, stopped = _cut(said, self._asking.stop)
        elapsed_s = round(time.perf_counter() - started, 4)
        return Reply(*question.key, text, stopped, said.n_tokens, elapsed_s)

    def _say(self, question: Question) -> EndpointReply:
        raw = self._post(json.dumps(self._body(self.model, question, self._asking)).encode())
        try:
            return self._read(json.loads(raw))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            start = one_line(self._clean(raw[:300].decode(errors="replace")), 120)
            raise EndpointError(f"{self.url} sent an invalid response: {start}") from None

    def _post(self, data: bytes) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        for left in range(TRIES - 1, -1, -1):
            request = urllib.request.Request(self.url, data, headers)
            try:
                with self._opener.open(request, timeout=self._timeout_s) as response:
                    return _bounded(response.read(MAX_REPLY_BYTES + 1), self.url)
            except urllib.error.HTTPError as error:
                with error:
                    if not left or (error.code != 429 and error.code < 500):
                        raise EndpointError(self._refusal(error)) from None
            except (OSError, ValueError) as error:
                reason = getattr(error, "reason", None) or error
                why = one_line(self._clean(str(reason)), 120)
                raise EndpointError(f"{self.url} did not respond: {why}") from None
            time.sleep(self._pause_s * (TRIES - left))
        raise AssertionError("unreachable")

    def _refusal(self, error: urllib.error.HTTPError) -> str:
        text = error.read(2000).decode(errors="replace")
        hint = f"; is {KEY_VARIABLE} set?" if error.code in (401, 403) else ""
        return f"{self.url} returned {error.code}: {one_line(self._clean(text), 160)}{hint}"

    def _clean(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text

    def close(self) -> None:
        """Nothing is kept open."""


def openai_answerer(
    url: str, model: str, asking: GenerationSettings, environment: Mapping[str, str], **options: Any
) -> EndpointAnswerer:
    """The model `model` of the OpenAI-compatible server at `url` (its `/v1`)."""
    target = url.rstrip("/") + "/chat/completions"
    key = environment.get(KEY_VARIABLE, "")
    return EndpointAnswerer(
        target, model, asking, body=_openai_body, read=_openai_read, key=key, **options
    )


def ollama_answerer(
    model: str, asking: GenerationSettings, environment: Mapping[str, str], **options: Any
) -> EndpointAnswerer:
    """The model `model` of the Ollama server of this machine, or at `$OLLAMA_HOST`."""
    host = environment.get(OLLAMA_VARIABLE) or OLLAMA_DEFAULT
    base = host if "://" in host else f"http://{host}"
    if urlsplit(base).port is None:
        base += ":11434"
    target = base.rstrip("/") + "/api/chat"
    return EndpointAnswerer(target, model, asking, body=_ollama_body, read=_ollama_read, **options)


def _openai_body(model: str, question: Question, asking: GenerationSettings) -> dict[str, Any]:
    """https://platform.openai.com/docs/api-reference/chat/create; standard keys only."""
    sampling = asking.sampling_for(question)
    body: dict[str, Any] = {
        "model": model,
        "messages": openai_turns(question.messages),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "seed": sampling.seed,
        "stream": False,
    }
    body |= {"tools": list(question.tools)} if question.tools else {}
    return body | ({"stop": list(asking.stop[:OPENAI_STOPS])} if asking.stop else {})


def _openai_read(value: Any) -> EndpointReply:
    choice = value["choices"][0]
    tokens = (value.get("usage") or {}).get("completion_tokens", 0)
    stopped = "stop" if choice["finish_reason"] in ("stop", "tool_calls") else "length"
    return EndpointReply(answer_text(choice["message"]), stopped, int(tokens))


def _ollama_body(model: str, question: Question, asking: GenerationSettings) -> dict[str, Any]:
    """https://docs.ollama.com/api/chat"""
    given = options(asking.sampling_for(question), asking.stop, asking.context)
    turns = ollama_turns(question.messages)
    body = {"model": model, "messages": turns, "stream": False, "options": given}
    return body | ({"tools": list(question.tools)} if question.tools else {})


def _ollama_read(value: Any) -> EndpointReply:
    stopped = "stop" if value.get("done_reason", "stop") == "stop" else "length"
    return EndpointReply(answer_text(value["message"]), stopped, int(value.get("eval_count", 0)))


def _cut(said: EndpointReply, stop: Sequence[str]) -> tuple[str, str]:
    stream = TextStream(stop)
    text = stream.push(said.text.encode(errors="replace")) + stream.finish()
    return text, "stop" if stream.stopped else said.stopped


def _bounded(raw: bytes, url: str) -> bytes:
    if len(raw) > MAX_REPLY_BYTES:
        raise EndpointError(f"{url} sent more than {MAX_REPLY_BYTES >> 20} MiB")
    return raw


def _check_key_is_safe(url: str, key: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"'{url}' is not a URL", hint="use openai:https://HOST/v1#MODEL")
    if key and parts.scheme != "https" and parts.hostname not in LOCAL_HOSTS:
        raise UserError(
            f"{KEY_VARIABLE} would be sent to {parts.hostname} unencrypted",
            hint="use https, or unset the variable",
        )
