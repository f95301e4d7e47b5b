from __future__ import annotations

from typing import Any

import pytest

from workbench.core.sampling import SamplingParams
from workbench.dataset.rows import Message
from workbench.inference.generation import Completion
from workbench.serving.openai_api import (
    BadRequest,
    GenerationSettings,
    chunk,
    completion,
    read_request,
    usage_chunk,
)

MANNER = GenerationSettings(SamplingParams(temperature=0.5, max_tokens=9), ("END",), "Be kind.")
HI = {"role": "user", "content": "hi"}


def test_what_is_left_out_is_as_the_run_has_it() -> None:
    asked = read_request({"messages": [HI]}, "one", MANNER)
    assert asked.messages == (Message("system", "Be kind."), Message("user", "hi"))
    assert asked.sampling == MANNER.sampling and asked.stop == ("END",)
    assert not asked.stream and not asked.wants_usage


def test_what_is_asked_for_goes_over_it() -> None:
    body: dict[str, Any] = {
        "model": "one",
        "messages": [
            {"role": "developer", "content": "Be short."},
            HI,
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text"}]},
        ],
        "temperature": 0,
        "top_p": 0,
        "seed": -1,
        "max_completion_tokens": 3.0,
        "stop": "X",
        "stream": True,
        "stream_options": {"include_usage": True},
        "n": 1,
        "user": "me",
        "tools": None,
        "frequency_penalty": 0.0,
    }
    asked = read_request(body, "one", MANNER)
    roles = [(message.role, message.content) for message in asked.messages]
    assert roles == [
        ("system", "Be short."),
        ("user", "hi"),
        ("assistant", "Hello."),
        ("user", "a"),
    ]
    assert (asked.sampling.temperature, asked.sampling.max_tokens) == (0, 3)
    assert asked.sampling.seed == 2**32 - 1 and 0 < asked.sampling.top_p < 1e-6
    assert asked.stop == ("X", "END") and asked.stream and asked.wants_usage


@pytest.mark.parametrize(
    ("body", "said", "field"),
    [
        ([], "not a JSON object", ""),
        ({}, "'messages' is not a list of messages", "messages"),
        (
            {"messages": [HI], "model": "gpt"},
            "model 'gpt' not found; this server serves 'one'",
            "model",
        ),
        ({"messages": [3]}, "messages.0 needs one of the roles", "messages.0"),
        (
            {"messages": [{"role": "tool", "content": "x"}]},
            "needs one of the roles system",
            "messages.0",
        ),
        ({"messages": [{"role": "user"}]}, "messages.0 has no text", "messages.0"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "a part that is not text",
            "messages.0",
        ),
        (
            {"messages": [HI, {"role": "assistant", "content": "x"}]},
            "the last message is not from the user",
            "messages.1",
        ),
        ({"messages": [HI], "n": 2}, "'n' cannot be 2", "n"),
        ({"messages": [HI], "tools": [{"type": "function"}]}, "'tools' cannot be", "tools"),
        ({"messages": [HI], "frobnicate": 1}, "'frobnicate' is not supported", "frobnicate"),
        ({"messages": [HI], "temperature": "hot"}, "'temperature' is not a number", "temperature"),
        ({"messages": [HI], "temperature": True}, "'temperature' is not a number", "temperature"),
        ({"messages": [HI], "temperature": -1}, "temperature = -1 is out of range", ""),
        ({"messages": [HI], "max_tokens": 1.5}, "'max_tokens' is not a whole number", "max_tokens"),
        ({"messages": [HI], "max_tokens": 0}, "max_tokens = 0 is out of range", ""),
        (
            {"messages": [HI], "stop": ["a", 3]},
            "'stop' is neither a string nor a list of strings",
            "stop",
        ),
        (
            {"messages": [HI], "stop": [""]},
            "'stop' is neither a string nor a list of strings",
            "stop",
        ),
        ({"messages": [HI], "stream": "yes"}, "'stream' is neither true nor false", "stream"),
    ],
)
def test_what_cannot_be_is_refused_by_name(body: Any, said: str, field: str) -> None:
    with pytest.raises(BadRequest, match=said) as told:
        read_request(body, "one", MANNER)
    assert told.value.field == field


def test_an_answer_in_the_shape_that_clients_know() -> None:
    answer = Completion("Hello.", "length", 3, 0.1, prompt_tokens=7, cached_tokens=4)
    made = completion("one", 5, answer)
    assert made["id"] == "chatcmpl-5" and made["model"] == "one"
    assert made["choices"][0]["message"] == {"role": "assistant", "content": "Hello."}
    assert made["choices"][0]["finish_reason"] == "length"
    assert made["usage"]["total_tokens"] == 10
    assert chunk("one", 5, None)["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert chunk("one", 5, "x")["choices"][0]["delta"] == {"content": "x"}
    last = chunk("one", 5, "", "stop")["choices"][0]
    assert (last["delta"], last["finish_reason"]) == ({}, "stop")
    assert usage_chunk("one", 5, answer)["choices"] == []
