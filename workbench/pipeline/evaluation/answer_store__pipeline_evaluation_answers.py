"""Every answer of one model on disk, one JSON line each, so that no question is asked twice.

The file's first line says which model and which questions it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from workbench.core.errors import Interrupted
from workbench.pipeline.evaluation.answer_store__pipeline_evaluation_kept import Appender, read_kept
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
    with Appender(path, head, fresh=not known) as appender:
        for reply in answerer.replies(questions, known, stopping):
            if not reply.problem:
                appender.append(asdict(reply))
            n_answered += 1
            yield reply
    if n_answered < len(questions):
        raise Interrupted(f"stopped after {n_answered} of {len(questions)} responses")


def read_answers(path: Path, head: dict[str, Any]) -> dict[Key, Reply]:
    """The answers in `path`, if its first line equals `head`; else none."""
    replies = (Reply(**value) for value in read_kept(path, head) if set(value) == _FIELDS)
    return {reply.key: reply for reply in replies}
