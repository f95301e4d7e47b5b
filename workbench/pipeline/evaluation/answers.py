"""Every answer of one model on disk, one JSON line each, so that no question is asked twice.

The first line says which model and which questions the file belongs to; answers to others are
replaced, never mixed. A line counts once its newline is there: what a kill cut off is asked again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from workbench import files
from workbench.errors import Interrupted
from workbench.pipeline.evaluation.questions import (
    Answerer,
    Asking,
    Key,
    Question,
    Reply,
    fingerprint,
)

FORMAT = "workbench-answers-1"
_FIELDS = {field.name for field in fields(Reply)}


def answer_all(
    answerer: Answerer,
    questions: Sequence[Question],
    asking: Asking,
    path: Path,
    stopping: Callable[[], bool] = lambda: False,
) -> Iterator[Reply]:
    """Yield one reply a question: first those that stand in `path`, then new ones as they come.

    New answers are appended to `path` before they are yielded; problems are not kept, so that they
    are tried again. Raises Interrupted when `stopping` says so; what was answered then stands.
    """
    head = {
        "format": FORMAT,
        "model": answerer.identity,
        "questions": fingerprint(questions, asking),
    }
    known = read_answers(path, head)
    wanted = {question.key for question in questions}
    yield from (known[key] for key in sorted(known) if key in wanted)
    if wanted <= set(known):
        return
    n_answered = len(known)
    with _Appender(path, head, fresh=not known) as appender:
        for reply in answerer.replies(questions, known, stopping):
            if not reply.problem:
                appender.append(asdict(reply))
            n_answered += 1
            yield reply
    if n_answered < len(questions):
        raise Interrupted(f"stopped after {n_answered} of {len(questions)} answers")


def read_answers(path: Path, head: dict[str, Any]) -> dict[Key, Reply]:
    """The answers in `path`, if its first line equals `head`; else none."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return {}
    lines = raw[: raw.rfind(b"\n") + 1].splitlines()
    values = [value for value in map(_object, lines) if value is not None]
    if not values or values[0] != head:
        return {}
    replies = (Reply(**value) for value in values[1:] if set(value) == _FIELDS)
    return {reply.key: reply for reply in replies}


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


class _Appender:
    """Appends lines to a file that begins with `head`; a torn last line is cut off first."""

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

    def __enter__(self) -> _Appender:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._fd)


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"
