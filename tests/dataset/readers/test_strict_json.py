"""The quick parser and the strict one are one: same values, same refusals, whatever the text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workbench.dataset.readers import strict_json
from workbench.dataset.readers.strict_json import Refused, parse_json

SPACE = st.sampled_from(["", "", " ", "\t", " \r"])
ESCAPES = ['\\"', "\\\\", '\\":', '\\\\\\"', "\\u0000", "\\\\u0000", "\\ud83d\\ude00", "\\ud800"]
CHARS = st.sampled_from(
    [*ESCAPES, "a", "b", ":", ",", " :", "é", "日", "\\n", "{", "\x7f", "\u2028"]
)
STRINGS = st.lists(CHARS, max_size=4).map(lambda parts: f'"{"".join(parts)}"')
KEYS = st.sampled_from(['"a"', '"b"', '"\\u0061"', '"\\\\"', '"\\""', '""'])
NUMBERS = ["0", "-0", "1", "1.5", "1e999", "-1E-7", "9" * 19, "9" * 25, "9" * 5000, "01", "NaN"]
SCALARS = STRINGS | st.sampled_from([*NUMBERS, "true", "null", "Infinity", "tru", "", "'a'"])


def joined(opening: str, parts: list[str], closing: str, space: str) -> str:
    return opening + space + f",{space}".join(parts) + space + closing


def containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.tuples(KEYS, SPACE, inner).map(lambda p: f"{p[0]}{p[1]}:{p[1]}{p[2]}")
    objects = st.tuples(st.lists(pairs, max_size=3), SPACE)
    lists = st.tuples(st.lists(inner, max_size=3), SPACE)
    return objects.map(lambda o: joined("{", o[0], "}", o[1])) | lists.map(
        lambda o: joined("[", o[0], "]", o[1])
    )


def outcome(parse: Any, text: str) -> str:
    """The value, told so that 1, 1.0 and True differ, or the refusal in its words."""
    try:
        return repr(parse(text))
    except Refused as refused:
        return f"{refused.code}: {refused.message}"


@settings(max_examples=400, deadline=None)
@given(text=st.recursive(SCALARS, containers, max_leaves=8))
@example('{"a":1,"a":2}')
@example('{"a" :1,"a" :2}')
@example('{"x\\\\":1,"x\\\\":2}')
@example('{"a":"\\":","a":""}')
@example('{"a":{"b":"","b":"\\"\\""}}')
def test_both_parsers_say_the_same(text: str) -> None:
    assert outcome(parse_json, text) == outcome(strict_json._parse_strictly, text)


@pytest.mark.parametrize("depth", [63, 64, 65, 66, 67, 1023, 1025, 100_000])
@pytest.mark.parametrize("shape", ['{"a":', "["])
def test_both_draw_the_line_at_the_same_depth(depth: int, shape: str) -> None:
    text = shape * depth + "1" + ("}" if "{" in shape else "]") * depth
    assert outcome(parse_json, text) == outcome(strict_json._parse_strictly, text)


def test_an_ordinary_row_takes_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_json, "_parse_strictly", None)
    row = {"messages": [{"role": "user", "content": 'say "x":\n\\ \x01 é'}], "n": 3, "b": None}
    for text in (json.dumps(row), json.dumps(row, ensure_ascii=False, separators=(",", ":"))):
        assert parse_json(text) == row
