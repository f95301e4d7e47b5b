"""What a request asks for, and what an answer looks like. Plain values in and out; no network.

The interface is OpenAI's `POST /v1/chat/completions`. What a request leaves out is as the run has
it; what it asks for and cannot have is refused by name, never passed over.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from workbench.core.errors import UserError
from workbench.core.sampling import LAST_SEED, SamplingParams
from workbench.core.text import one_line
from workbench.dataset.rows import ASSISTANT, SYSTEM, USER, Message
from workbench.inference.generation import Completion

ROLES = {"system": SYSTEM, "developer": SYSTEM, "user": USER, "assistant": ASSISTANT}
NUMBERS = ("temperature", "top_p", "top_k", "min_p", "repeat_penalty", "seed", "max_tokens")
WHOLE = ("top_k", "seed", "max_tokens")
# Fields that change nothing where they have such a value.
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "response_format": ({"type": "text"},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "modalities": (["text"],),
}
IGNORED = ("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key")
KNOWN = ("model", "messages", "stop", "stream", "stream_options", "max_completion_tokens")
FINISH = {"stop": "stop", "length": "length", "cancelled": "stop"}


class BadRequest(Exception):
    """What is wrong with a request, and the field that it is about."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class GenerationSettings:
    """How the run asks, for what a request leaves out."""

    sampling: SamplingParams = field(default_factory=SamplingParams)
    stop: Sequence[str] = ()
    system: str = ""


@dataclass(frozen=True)
class ChatRequest:
    """One request, understood."""

    messages: tuple[Message, ...]
    sampling: SamplingParams
    stop: tuple[str, ...]
    stream: bool
    wants_usage: bool


def read_request(body: Any, name: str, manner: GenerationSettings) -> ChatRequest:
    """What `body`, a JSON value, asks the model `name` for. Raises BadRequest."""
    if not isinstance(body, dict):
        raise BadRequest("the request is not a JSON object")
    _refuse_unknown(body)
    if body.get("model") not in (None, name):
        wanted = one_line(str(body["model"]), 60)
        raise BadRequest(f"model '{wanted}' not found; this server serves '{name}'", "model")
    options = body.get("stream_options") or {}
    return ChatRequest(
        messages=_messages(body.get("messages"), manner.system),
        sampling=_sampling(body, manner.sampling),
        stop=(*_stops(body.get("stop")), *manner.stop),
        stream=_flag(body, "stream"),
        wants_usage=isinstance(options, dict) and _flag(options, "include_usage"),
    )


def completion(name: str, number: int, answer: Completion) -> dict[str, Any]:
    """The whole answer."""
    message = {"role": ASSISTANT, "content": answer.text}
    choice = {"index": 0, "message": message, "finish_reason": FINISH[answer.stopped]}
    head = _head(name, number, "chat.completion")
    return {**head, "choices": [{**choice, "logprobs": None}], "usage": usage(answer)}


def chunk(name: str, number: int, text: str | None, finish: str | None = None) -> dict[str, Any]:
    """A piece of a streamed answer; None for the first, which has the role alone."""
    delta = {"role": ASSISTANT, "content": ""} if text is None else {"content": text}
    choice = {"index": 0, "delta": {} if finish else delta, "finish_reason": finish}
    return {**_head(name, number, "chat.completion.chunk"), "choices": [choice]}


def usage_chunk(name: str, number: int, answer: Completion) -> dict[str, Any]:
    """The last piece of a stream whose request wants the counts."""
    head = _head(name, number, "chat.completion.chunk")
    return {**head, "choices": [], "usage": usage(answer)}


def usage(answer: Completion) -> dict[str, Any]:
    """How many tokens it took."""
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.n_tokens,
        "total_tokens": answer.prompt_tokens + answer.n_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens},
    }


def models(name: str) -> dict[str, Any]:
    """The list of the one model."""
    model = {"id": name, "object": "model", "created": int(time.time()), "owned_by": "workbench"}
    return {"object": "list", "data": [model]}


def fault(message: str, field: str = "", kind: str = "invalid_request_error") -> dict[str, Any]:
    """An error as clients of this interface expect it."""
    return {"error": {"message": message, "type": kind, "param": field or None, "code": None}}


def _head(name: str, number: int, kind: str) -> dict[str, Any]:
    created = int(time.time())
    return {"id": f"chatcmpl-{number}", "object": kind, "created": created, "model": name}


def _refuse_unknown(body: Mapping[str, Any]) -> None:
    for name, value in body.items():
        if name in (*KNOWN, *NUMBERS, *IGNORED) or value is None:
            continue
        if name not in NEUTRAL:
            raise BadRequest(f"'{one_line(name, 40)}' is not supported", name)
        if value not in NEUTRAL[name]:
            raise BadRequest(f"'{name}' cannot be {one_line(repr(value), 60)}", name)


def _messages(given: Any, system: str) -> tuple[Message, ...]:
    """The conversation; the run's system prompt before it, where it has none of its own."""
    if not isinstance(given, list) or not given:
        raise BadRequest("'messages' is not a list of messages", "messages")
    found = [_message(one, number) for number, one in enumerate(given)]
    if found[-1].role != USER:
        raise BadRequest("the last message is not from the user", f"messages.{len(found) - 1}")
    if system and found[0].role != SYSTEM:
        found.insert(0, Message(SYSTEM, system))
    return tuple(found)


def _message(given: Any, number: int) -> Message:
    place = f"messages.{number}"
    if not isinstance(given, dict) or given.get("role") not in ROLES:
        raise BadRequest(f"{place} needs one of the roles {', '.join(ROLES)}", place)
    content = given.get("content")
    if isinstance(content, list):
        content = "".join(_text_part(part, place) for part in content)
    if not isinstance(content, str):
        raise BadRequest(f"{place} has no text content", place)
    return Message(ROLES[given["role"]], content)


def _text_part(part: Any, place: str) -> str:
    if not isinstance(part, dict) or part.get("type") != "text":
        raise BadRequest(f"{place} has a part that is not text", place)
    return str(part.get("text", ""))


def _sampling(body: Mapping[str, Any], before: SamplingParams) -> SamplingParams:
    given = {name: body[name] for name in NUMBERS if body.get(name) is not None}
    if body.get("max_completion_tokens") is not None:
        given["max_tokens"] = body["max_completion_tokens"]
    for name, value in given.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or (name in WHOLE and value != int(value)):
            raise BadRequest(f"'{name}' is not a {'whole ' if name in WHOLE else ''}number", name)
    for name in WHOLE:
        if name in given:
            given[name] = int(given[name])
    if "seed" in given:
        given["seed"] %= LAST_SEED + 1
    if given.get("top_p") == 0:  # clients mean: the likeliest
        given["top_p"] = 1e-9
    try:
        return replace(before, **given)
    except UserError as error:
        raise BadRequest(str(error)) from error


def _stops(given: Any) -> tuple[str, ...]:
    stops = [given] if isinstance(given, str) else given or []
    if not isinstance(stops, list) or not all(isinstance(one, str) and one for one in stops):
        raise BadRequest("'stop' is neither a string nor a list of strings", "stop")
    return tuple(stops)


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if value not in (None, True, False):
        raise BadRequest(f"'{name}' is neither true nor false", name)
    return bool(value)
