"""The quick way through step lines gives what the ordinary way gives."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from tests.run.helpers import step, validated
from workbench.run.event_lines import TAKEN, Record, StepBatch, line_kind, step_batches, to_line
from workbench.run.events import Evaluated, Event, Note

VALUES = st.floats(allow_nan=True, allow_infinity=False, width=32)


def line(seq: int, event: Event, stage: str = "train:sft") -> bytes:
    return to_line(Record(seq, "2026-11-21T10:00:00.000Z", stage, event)).rstrip(b"\n")


@given(st.integers(1, 10**7), VALUES, st.floats(0, 1))
def test_a_step_line_is_taken_as_it_is(number: int, loss: float, rate: float) -> None:
    event = step(number, 10**7, loss=loss, learning_rate=rate)
    found = step_batches([line(1, event)])
    if math.isnan(loss):
        assert found == [line(1, event)]
        return
    assert isinstance(found[0], StepBatch)
    assert found[0].columns() == {name: [getattr(event, name)] for name in TAKEN}


def test_batches_keep_the_order_and_end_at_every_other_line() -> None:
    other = line(3, validated(2, 1.0))
    lines = [
        line(1, step(1)),
        line(2, step(2)),
        other,
        line(4, step(3)),
        line(5, step(1), "train:second"),
    ]
    found = step_batches(lines)
    kinds = [part if isinstance(part, bytes) else part.columns()["step"] for part in found]
    assert kinds == [[1.0, 2.0], other, [3.0], [1.0]]


def test_what_is_nearly_a_step_line_goes_the_ordinary_way() -> None:
    good = line(1, step(1))
    for bad in (good[:-1], good + b"x", good.replace(b'"step"', b'"stop"'), b"", b"null"):
        assert step_batches([bad]) == [bad]


def test_the_kind_is_read_from_the_head_alone() -> None:
    assert line_kind(line(1, step(1))) == b"step"
    assert line_kind(line(1, Note(message='"kind":"step"'))) == b"note"
    assert line_kind(line(1, Evaluated(model="m", figures={"kind": "step"}))) == b"evaluated"
    assert [line_kind(other) for other in (b"", b"null", b'{"seq":1}', b"x" * 300)] == [b""] * 4
