"""Event records: what is written is read back, and what is no event of ours is not."""

from __future__ import annotations

import dataclasses
import math

import pytest

from tests.run.helpers import step
from workbench.run import events


def test_every_kind_is_known_once_and_named() -> None:
    assert "" not in events.KINDS
    assert len(events.KINDS) == len(set(events.KINDS.values()))
    assert all(known.kind == kind for kind, known in events.KINDS.items())


@pytest.mark.parametrize("kind", list(events.KINDS))
def test_every_field_has_a_type_that_is_checked_on_reading(kind: str) -> None:
    for field in dataclasses.fields(events.KINDS[kind]):
        assert field.type in events._CLASSES, f"{kind}.{field.name}: {field.type}"


def test_parse_gives_back_the_event() -> None:
    assert events.parse("step", step(3).fields()) == step(3)


def test_unknown_kind_and_unknown_field_are_no_fault() -> None:
    assert events.parse("from_the_future", {}) is None
    assert events.parse("stage_started", {"title": "x", "colour": "red"}) is not None


@pytest.mark.parametrize(
    "fields", [{}, {"step": "3"}, {"step": True}, {"step": 3.5}, {"loss": "low"}, {"steps": None}]
)
def test_wrong_shape_is_not_parsed(fields: dict[str, object]) -> None:
    given = {} if not fields else {**step(3).fields(), **fields}
    assert events.parse("step", given) is None


def test_null_for_a_number_is_read_as_nan() -> None:
    event = events.parse("step", {**step(3).fields(), "loss": None})
    assert isinstance(event, events.Step) and math.isnan(event.loss)


def test_a_whole_number_is_a_number() -> None:
    event = events.parse("step", {**step(3).fields(), "loss": 2})
    assert isinstance(event, events.Step) and event.loss == 2
