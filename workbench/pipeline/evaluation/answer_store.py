"""The expected answers, weighed by a model: how unlikely it finds them. For the perplexity.

One answer a row, whatever the number of samples. Each is kept on disk as it comes, so that none is
weighed twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from workbench.dataset.rows import Row
from workbench.core.errors import Interrupted
from workbench.reports.cases import Case
from workbench.pipeline.evaluation.answer_store__pipeline_evaluation_kept import Appender, read_kept
from workbench.pipeline.evaluation.questions import Answerer, Expected, Weighed

FORMAT = "workbench-weighed-1"
_FIELDS = {field.name for field in fields(Weighed)}


def expected_of(rows: Sequence[Row]) -> list[Expected]:
    """The conversation of each row up to its last answer, where it has one that says something."""
    found = []
    for index, row in enumerate(rows):
        before = row.prompt_messages()
        if before and row.expected.strip():
            found.append(Expected(index, row.messages[: len(before) + 1], row.tools))
    return found


def weigh_all(
    answerer: Answerer,
    expected: Sequence[Expected],
    context: int,
    path: Path,
    on_weighed: Callable[[int, int], None] = lambda done, total: None,
    stopping: Callable[[], bool] = lambda: False,
) -> dict[int, Weighed]:
    """What each answer weighs, by its row; nothing where the model cannot tell.

    Those that stand in `path` are not weighed again. Raises Interrupted when `stopping` says so.
    """
    head = {"format": FORMAT, "model": answerer.identity, "expected": _digest(expected, context)}
    kept = (Weighed(**value) for value in read_kept(path, head) if set(value) == _FIELDS)
    known = {one.index: one for one in kept}
    if not answerer.weighs or len(known) == len(expected):
        return known
    found = dict(known)
    with Appender(path, head, fresh=not known) as appender:
        for one in answerer.weigh(expected, known, stopping):
            if not one.problem:
                appender.append(asdict(one))
            found[one.index] = one
            on_weighed(len(found), len(expected))
    if len(found) < len(expected):
        raise Interrupted(f"stopped after {len(found)} of {len(expected)} expected responses")
    return found


def with_weights(cases: Sequence[Case], weighed: Mapping[int, Weighed]) -> list[Case]:
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
