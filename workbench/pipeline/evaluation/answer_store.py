"""Answers and expected-answer losses of one model on disk, so that nothing is computed twice.

JSON Lines after a first line that names the model and the prompts they belong to. A line counts
once its newline is written: a line that a kill truncated is computed again. Lines after a different
first line are replaced, never mixed.

The loss of an expected answer, for the perplexity, is computed once per row, whatever the number of
samples.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from workbench.core import files
from workbench.core.errors import Interrupted
from workbench.dataset.rows import Row
from workbench.pipeline.evaluation.questions import (
    Answerer,
    Expected,
    ExpectedLoss,
    GenerationSettings,
    Key,
    Question,
    Reply,
    fingerprint,
)
from workbench.reports.cases import Case


def read_stored(path: Path, head: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects in `path`, if its first line equals `head`; else none."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return []
    lines = raw[: raw.rfind(b"\n") + 1].splitlines()
    values = [value for value in map(_object, lines) if value is not None]
    return values[1:] if values and values[0] == head else []


class Appender:
    """Appends objects to a file that begins with `head`; a torn last line is cut off first."""

    def __init__(self, path: Path, head: dict[str, Any], *, fresh: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if fresh:
            files.write_atomic(path, _line(head))
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        whole = path.read_bytes().rfind(b"\n") + 1
        os.ftruncate(self._fd, whole)
        self._end = os.lseek(self._fd, whole, os.SEEK_SET)

    def append(self, value: dict[str, Any]) -> None:
        line = _line(value).encode()
        try:
            files.write_all(self._fd, line)
        except OSError:
            os.ftruncate(self._fd, self._end)
            raise
        self._end += len(line)

    def __enter__(self) -> Appender:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._fd)


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"


EXPECTED_LOSSES_FORMAT = "workbench-weighed-1"
_EXPECTED_LOSS_FIELDS = {field.name for field in fields(ExpectedLoss)}


def expected_of(rows: Sequence[Row]) -> list[Expected]:
    """The conversation of each row up to its last answer, where it has one that says something."""
    found = []
    for index, row in enumerate(rows):
        before = row.prompt_messages()
        if before and row.expected.strip():
            found.append(Expected(index, row.messages[: len(before) + 1], row.tools))
    return found


def score_expected_answers(
    answerer: Answerer,
    expected: Sequence[Expected],
    context: int,
    path: Path,
    on_weighed: Callable[[int, int], None] = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[int, ExpectedLoss]:
    """What each answer weighs, by its row; nothing where the model cannot tell.

    Those that stand in `path` are not weighed again. Raises Interrupted when `should_stop` says so.
    """
    head = {
        "format": EXPECTED_LOSSES_FORMAT,
        "model": answerer.identity,
        "expected": _digest(expected, context),
    }
    kept = (
        ExpectedLoss(**value)
        for value in read_stored(path, head)
        if set(value) == _EXPECTED_LOSS_FIELDS
    )
    known = {one.index: one for one in kept}
    if not answerer.weighs or len(known) == len(expected):
        return known
    found = dict(known)
    with Appender(path, head, fresh=not known) as appender:
        for one in answerer.weigh(expected, known, should_stop):
            if not one.problem:
                appender.append(asdict(one))
            found[one.index] = one
            on_weighed(len(found), len(expected))
    if len(found) < len(expected):
        raise Interrupted(f"stopped after {len(found)} of {len(expected)} expected responses")
    return found


def with_expected_losses(cases: Sequence[Case], weighed: Mapping[int, ExpectedLoss]) -> list[Case]:
    """The cases, the first sample of each prompt with what its expected answer weighs."""
    return [
        replace(case, expected_tokens=one.n_tokens, expected_nats=one.nats)
        if not case.sample and (one := weighed.get(case.index)) and not one.problem
        else case
        for case in cases
    ]


def _digest(expected: Sequence[Expected], context: int) -> str:
    said: list[Any] = [
        [
            one.index,
            [message.to_json() for message in one.messages],
            *([one.tools] if one.tools else []),
        ]
        for one in expected
    ]
    return hashlib.sha256(json.dumps([said, context], sort_keys=True).encode()).hexdigest()


ANSWERS_FORMAT = "workbench-answers-1"
_REPLY_FIELDS = {field.name for field in fields(Reply)}


def answer_all(
    answerer: Answerer,
    questions: Sequence[Question],
    asking: GenerationSettings,
    path: Path,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Reply]:
    """Yield one reply a question: first those that stand in `path`, then new ones as they come.

    New answers are appended to `path` before they are yielded; problems are not kept, so that they
    are tried again. Raises Interrupted when `should_stop` says so; what was answered then stands.
    """
    head = {
        "format": ANSWERS_FORMAT,
        "model": answerer.identity,
        "questions": fingerprint(questions, asking),
    }
    known = read_answers(path, head)
    wanted = {question.key for question in questions}
    yield from (known[key] for key in sorted(known) if key in wanted)
    if wanted <= set(known):
        return
    n_answered = len(known)
    with Appender(path, head, fresh=not known) as appender:
        for reply in answerer.replies(questions, known, should_stop):
            if not reply.problem:
                appender.append(asdict(reply))
            n_answered += 1
            yield reply
    if n_answered < len(questions):
        raise Interrupted(f"stopped after {n_answered} of {len(questions)} responses")


def read_answers(path: Path, head: dict[str, Any]) -> dict[Key, Reply]:
    """The answers in `path`, if its first line equals `head`; else none."""
    replies = (Reply(**value) for value in read_stored(path, head) if set(value) == _REPLY_FIELDS)
    return {reply.key: reply for reply in replies}
