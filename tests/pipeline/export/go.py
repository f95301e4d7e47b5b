"""The part of Go's text/template that our templates use, interpreted, to prove the text itself.

Supports: literal text, {{ "string" }}, {{ .Content }}, {{ $v := "" }}, {{ $v = .Role }},
{{ range .Messages }}, {{ if eq A "b" }}, {{ else if eq A "b" }}, {{ else }}, {{ end }}.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_ACTION = re.compile(r'\{\{ ((?:"(?:[^"\\]|\\.)*"|[^"}])*?) \}\}')


def execute(template: str, messages: Sequence[Mapping[str, str]]) -> str:
    """What Ollama would make of `messages`."""
    tree, end = _parse(_tokens(template), 0)
    assert end is None
    out: list[str] = []
    _run(tree, {"Messages": messages}, {}, out)
    return "".join(out)


def _tokens(template: str) -> list[tuple[str, str]]:
    tokens, position = [], 0
    for match in _ACTION.finditer(template):
        tokens.append(("text", template[position : match.start()]))
        tokens.append(("action", match[1]))
        position = match.end()
    rest = template[position:]
    assert "{{" not in rest, rest
    return [*tokens, ("text", rest)]


def _parse(tokens: list[tuple[str, str]], depth: int) -> tuple[list[Any], str | None]:
    nodes: list[Any] = []
    while tokens:
        kind, value = tokens.pop(0)
        if kind == "text":
            nodes.append(("text", value))
        elif value == "end" or value.startswith("else"):
            assert depth, f"{value} without a beginning"
            return nodes, value
        elif value == "range .Messages":
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
            for message in dot["Messages"]:
                _run(value, message, variables, out)
        elif kind == "if":
            for condition, body in value:
                if not condition or _holds(condition, dot, variables):
                    _run(body, dot, variables, out)
                    break
        else:
            _act(value, dot, variables, out)


def _act(action: str, dot: Any, variables: dict[str, Any], out: list[str]) -> None:
    assignment = re.fullmatch(r"(\$\w+) :?= (.+)", action)
    if assignment:
        variables[assignment[1]] = _value(assignment[2], dot, variables)
    else:
        out.append(_value(action, dot, variables))


def _holds(condition: str, dot: Any, variables: dict[str, Any]) -> bool:
    word, one, two = condition.split(" ")
    assert word == "eq"
    return bool(_value(one, dot, variables) == _value(two, dot, variables))


def _value(text: str, dot: Any, variables: dict[str, Any]) -> str:
    if text.startswith('"'):
        return str(json.loads(text))
    if text.startswith("$"):
        return str(variables[text])
    return str({".Content": dot["content"], ".Role": dot["role"]}[text])
