"""Checkers that ship: `["builtin:exact"]` and the like, written where a command would stand.

What only compares texts is judged here, in linear time. What a hostile answer (or pattern) could
make slow or could crash runs as a child under the limits of any checker: see `builtin_process`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from workbench.checkers.answer_text import chrf, extract, missing_words
from workbench.core.errors import UserError
from workbench.core.text import did_you_mean, one_line

PREFIX = "builtin:"


@dataclass(frozen=True)
class BuiltinChecker:
    """A built-in checker: the words that follow its name (as they are written, how many), meaning.

    `child`: it is judged in a child of its own.
    """

    words: str
    least: int
    most: int
    about: str
    child: bool = False


MANY = 1000
KINDS = {
    "exact": BuiltinChecker("", 0, 0, "the response equals the expected response"),
    "contains": BuiltinChecker(
        "[WORD ...]", 0, MANY, "it contains the words (or the row's must_contain)"
    ),
    "regex": BuiltinChecker("PATTERN", 1, 1, "it matches the pattern", child=True),
    "json": BuiltinChecker("", 0, 0, "it is valid JSON", child=True),
    "json-schema": BuiltinChecker("FILE", 1, 1, "it is JSON that matches the schema", child=True),
    "python": BuiltinChecker("", 0, 0, "it compiles as Python", child=True),
    "similar": BuiltinChecker(
        "SHARE", 1, 1, "its chrF against the expected response is at least that"
    ),
}


def is_builtin(command: Sequence[str]) -> bool:
    return bool(command) and command[0].startswith(PREFIX)


def is_schema(command: Sequence[str]) -> bool:
    """Whether the word after the name is the path of a file."""
    return bool(command) and command[0] == f"{PREFIX}json-schema"


def check_words(command: Sequence[str]) -> None:
    """Raise UserError for a name that there is not, and for words that the checker cannot take."""
    name, words = command[0].removeprefix(PREFIX), command[1:]
    kind = KINDS.get(name)
    if kind is None:
        raise UserError(f"no built-in checker '{one_line(name)}'", hint=did_you_mean(name, KINDS))
    if not kind.least <= len(words) <= kind.most or "" in words:
        parts = [f'"{part}"' for part in (command[0], *kind.words.split()) if part]
        hint = f"use [{', '.join(parts)}]" if len(parts) < 3 else "give non-empty words, or none"
        raise UserError(f"{command[0]} takes {_how_many(kind)}", hint=hint)
    if name == "regex":
        _check_pattern(words[0])
    if name == "similar":
        _share(words[0])


def require(command: Sequence[str]) -> None:
    """`check_words`, and what they name is there: raises UserError for a file that is no schema."""
    check_words(command)
    if is_schema(command):
        _check_schema(Path(command[1]))


def as_command(command: Sequence[str]) -> list[str]:
    """The command that judges in a child; empty for what `judge_here` judges."""
    name, words = command[0].removeprefix(PREFIX), list(command[1:])
    if not KINDS[name].child:
        return []
    if is_schema(command):  # the child runs in another folder
        words = [os.path.abspath(words[0])]
    # Quoted, as a pattern may hold what looks like a placeholder.
    module = ["{python}", "-m", "workbench.checkers.builtin_process"]
    return [*module, name, "{file}", *(quote(word) for word in words)]


def judge_here(
    command: Sequence[str], answer: str, expected: str, must_contain: Sequence[str]
) -> tuple[bool | None, str]:
    """Whether the answer passes, and why not; None where the row gives nothing to judge by."""
    name, words = command[0].removeprefix(PREFIX), command[1:]
    if name == "contains":
        return _contains(answer, words or must_contain)
    if not expected.strip():
        return None, "the row has no expected response"
    if name == "exact":
        same = answer.strip() == expected.strip()
        return same, "" if same else "differs from the expected response"
    found, wanted = chrf(answer, expected), _share(words[0])
    return found >= wanted, f"chrF {found:.3f}, required {wanted:g}"


def expected_for(command: Sequence[str], expected: str, how: str) -> str:
    """What the checker compares with: of the expected answer the part that is taken of answers.

    A command gets all of it, as `{expected}` says.
    """
    return extract(expected, how) or expected if is_builtin(command) else expected


def _contains(answer: str, words: Sequence[str]) -> tuple[bool | None, str]:
    if not words:
        return None, "the row has no must_contain"
    missing = missing_words(answer, words)
    return not missing, f"missing: {one_line(', '.join(missing), 200)}" if missing else ""


def _how_many(kind: BuiltinChecker) -> str:
    if kind.most == 0:
        return "no arguments"
    return "non-empty arguments" if kind.most == MANY else f"one argument, {kind.words}"


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        said = one_line(str(error), 100)
        raise UserError(
            f"'{one_line(pattern)}' is not a valid regular expression: {said}"
        ) from None


def _share(word: str) -> float:
    try:
        share = float(word)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        hint = "use a number above 0 and at most 1, such as 0.8"
        raise UserError(f"'{one_line(word)}' is not a valid chrF threshold", hint=hint)
    return share


def _check_schema(path: Path) -> None:
    from jsonschema import SchemaError
    from jsonschema.validators import validator_for

    try:
        schema: Any = json.loads(path.read_bytes())
        if not isinstance(schema, dict | bool):
            raise UserError("not a JSON Schema: it is neither an object nor a boolean", path=path)
        validator_for(schema).check_schema(schema)
    except OSError as error:
        raise UserError(f"the schema cannot be read: {error.strerror}", path=path) from None
    except SchemaError as error:
        said = one_line(error.message, 160)
        raise UserError(f"not a valid JSON Schema: {error.json_path}: {said}", path=path) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"not valid JSON: {one_line(str(error), 100)}", path=path) from None
