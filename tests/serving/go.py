"""The part of Go's text/template that our templates use, interpreted, to prove the text itself.

Supports: literal text; strings, numbers, variables, `.Role`, `.Content`, `$.System`, `$.Messages`,
`(...)` and the functions of `_call`; assignments; `range`, with and without `$i, $_ :=`; `if`,
`else if`, `else`, `end`. As in Ollama the root has all system messages joined as `System`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_ACTION = re.compile(r'\{\{ ((?:"(?:[^"\\]|\\.)*"|[^"}])*?) \}\}')
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|[()]|[^\s()]+')
_ESCAPE = re.compile(r'\\(?:u([0-9a-f]{4})|U([0-9a-f]{8})|(["\\]))')
_RANGE = re.compile(r"range (?:\$i, \$_ := )?\.Messages")
DAY = "2024-02-09"


def execute(template: str, messages: Sequence[Mapping[str, str]], day: str = DAY) -> str:
    """What Ollama would make of `messages` on that day."""
    tree, end = _parse(_tokens(template), 0)
    assert end is None
    out: list[str] = []
    system = "\n\n".join(m["content"] for m in messages if m["role"] == "system")
    root = {"Messages": messages, "System": system, "currentDate": day}
    _run(tree, root, {"$": root}, out)
    return "".join(out)


def _tokens(template: str) -> list[tuple[str, str]]:
    tokens, position = [], 0
    for match in _ACTION.finditer(template):
        tokens.append(("text", template[position : match.start()]))
        assert not tokens[-1][1].endswith("{"), "Go would begin the action a brace earlier"
        tokens.append(("action", match[1]))
        position = match.end()
    tokens.append(("text", template[position:]))
    for kind, text in tokens:
        assert kind == "action" or "{{" not in text, text
    return tokens


def _parse(tokens: list[tuple[str, str]], depth: int) -> tuple[list[Any], str | None]:
    nodes: list[Any] = []
    while tokens:
        kind, value = tokens.pop(0)
        if kind == "text":
            nodes.append(("text", value))
        elif value == "end" or value.startswith("else"):
            assert depth, f"{value} without a beginning"
            return nodes, value
        elif _RANGE.fullmatch(value):
            body, end = _parse(tokens, depth + 1)
            assert end == "end"
            nodes.append(("range", body))
        elif value.startswith("if "):
            nodes.append(_parse_if(tokens, value, depth))
        else:
            nodes.append(("action", value))
    return nodes, None


def _parse_if(tokens: list[tuple[str, str]], value: str, depth: int) -> Any:
    branches, condition = [], value.removeprefix("if ")
    while True:
        body, end = _parse(tokens, depth + 1)
        branches.append((condition, body))
        assert end is not None, "an if without an end"
        if end == "end":
            return "if", branches
        condition = end.removeprefix("else").strip().removeprefix("if ")


def _run(nodes: list[Any], dot: Any, variables: dict[str, Any], out: list[str]) -> None:
    for kind, value in nodes:
        if kind == "text":
            out.append(value)
        elif kind == "range":
            for variables["$i"], message in enumerate(dot["Messages"]):
                _run(value, message, variables, out)
        elif kind == "if":
            for condition, body in value:
                if not condition or _value(condition, dot, variables):
                    _run(body, dot, variables, out)
                    break
        else:
            _act(value, dot, variables, out)


def _act(action: str, dot: Any, variables: dict[str, Any], out: list[str]) -> None:
    assignment = re.fullmatch(r"(\$\w+) (:?)= (.+)", action)
    if assignment:
        assert assignment[2] or assignment[1] in variables, f"{assignment[1]} is not declared"
        variables[assignment[1]] = _value(assignment[3], dot, variables)
    else:
        out.append(str(_value(action, dot, variables)))


def _value(text: str, dot: Any, variables: dict[str, Any]) -> Any:
    words = _WORD.findall(text)
    value = _call(words, dot, variables)
    assert not words, words
    return value


def _call(words: list[str], dot: Any, variables: dict[str, Any]) -> Any:
    """A function with its arguments, up to a closing bracket or the end; or a lone operand."""
    found = [_operand(words.pop(0), words, dot, variables)]
    while words and words[0] != ")":
        found.append(_operand(words.pop(0), words, dot, variables))
    name, *given = found
    if not given:
        return name
    if name == "slice":
        return given[0][given[1] : given[2]]
    if name == "and":
        return next((one for one in given if not one), given[-1])
    one, two = given
    return {"eq": one == two, "ne": one != two}[name]


def _operand(word: str, words: list[str], dot: Any, variables: dict[str, Any]) -> Any:
    if word == "(":
        value = _call(words, dot, variables)
        assert words.pop(0) == ")"
        return value
    if word.startswith('"'):
        return _ESCAPE.sub(lambda m: m[3] or chr(int(m[1] or m[2], 16)), word[1:-1])
    if word.startswith("$."):
        return variables["$"][word.removeprefix("$.")]
    if word.startswith("$"):
        return variables[word]
    if word == "currentDate":
        return variables["$"]["currentDate"]
    if re.fullmatch(r"-?\d+", word):
        return int(word)
    if word in ("slice", "and", "eq", "ne"):
        return word
    return {".Content": dot["content"], ".Role": dot["role"]}[word]
