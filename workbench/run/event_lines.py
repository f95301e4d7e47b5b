"""A line of a run's log and the event that it holds: written, read, and told apart unread.

A line is one object of strict JSON; `seq`, `time`, `stage` and `kind` come first, in this order.
Steps are read without an object for each, a million of them in seconds: only lines exactly as
`to_line` lays them out are taken so; every other line, a step with a NaN among them, is parsed.
Both ways give the same curves.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from workbench.run.events import Event, Step, parse

MAX_LINE_BYTES = 4096
MAX_TEXT = 1000
HEAD_BYTES = 200  # seq, time, stage and kind are in front
KIND = re.compile(rb'"kind":"([a-z_]+)"')
TAKEN = ("step", "loss", "learning_rate", "gradient_norm", "tokens_per_second")
NUMBER = rb"[-+.0-9eE]+"


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the log: the event with its place, time (UTC, ISO 8601) and stage."""

    seq: int
    time: str
    stage: str
    event: Event


def utc_now() -> str:
    """The time as `2026-11-21T10:22:04.120Z`."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_line(record: Record) -> bytes:
    """The record as a line of strict JSON with its newline, at most `MAX_LINE_BYTES`.

    Long texts are cut with an ellipsis, long lists and tables at their end; the whole of them
    stands in the run's own files. NaN and infinity are written as null.
    """
    head = {"seq": record.seq, "time": record.time, "stage": record.stage}
    fields = _finite({**head, "kind": record.event.kind, **record.event.fields()})
    line = _dump(fields)
    limit = MAX_TEXT
    while len(line) > MAX_LINE_BYTES and limit > 0:
        line = _dump({key: _cut(value, limit) for key, value in fields.items()})
        limit //= 2
    return line


def parse_line(line: bytes) -> Record | None:
    """The record of a line; None for a kind of event that this version does not know.

    Raises ValueError for what is no event: a torn line, or another JSON value.
    """
    fields = _fields(line)
    event = parse(fields["kind"], fields)
    return Record(fields["seq"], fields["time"], fields["stage"], event) if event else None


def line_seq(line: bytes) -> int:
    """The `seq` of a line of any kind. Raises ValueError as `parse_line`."""
    return int(_fields(line)["seq"])


def line_kind(line: bytes) -> bytes:
    """The kind of the line's event, by its beginning and unread; b"" when it is not there."""
    match = KIND.search(line, 0, HEAD_BYTES)
    return match[1] if match else b""


class StepBatch:
    """Steps of one stage that follow each other: the lines' figures as columns."""

    def __init__(self, stage: bytes) -> None:
        self.stage = stage
        self.first = b""
        self.last = b""
        self.rows: list[tuple[bytes, ...]] = []

    def columns(self) -> dict[str, list[float]]:
        """Name of the figure and its values, one a step."""
        columns = zip(*self.rows, strict=True)
        return {name: list(map(float, column)) for name, column in zip(TAKEN, columns, strict=True)}


def step_batches(lines: list[bytes]) -> list[StepBatch | bytes]:
    """The lines in their order, with runs of step lines of one stage as batches."""
    found: list[StepBatch | bytes] = []
    batch: StepBatch | None = None
    for line in lines:
        match = _match(line)
        if match is None:
            found.append(line)
            batch = None
            continue
        stage, *row = match.groups()
        if batch is None or batch.stage != stage:
            batch = StepBatch(stage)
            batch.first = line
            found.append(batch)
        batch.last = line
        batch.rows.append(tuple(row))
    return found


def _pattern() -> re.Pattern[bytes]:
    """Every field of a step in its order; those that curves are made of are taken out."""
    fields = [
        b'"%s":%s' % (f.name.encode(), b"(%s)" % NUMBER if f.name in TAKEN else NUMBER)
        for f in dataclasses.fields(Step)
    ]
    head = rb'\{"seq":\d+,"time":"[^"\\]*","stage":"([^"\\]+)","kind":"step",'
    return re.compile(head + b",".join(fields) + rb"\}\r?")


_match = _pattern().fullmatch


def _fields(line: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(fields, dict) or type(fields.get("seq")) is not int:
        raise ValueError("not an event")
    texts = (fields.get("kind"), fields.setdefault("time", ""), fields.setdefault("stage", ""))
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("not an event")
    return fields


def _dump(fields: dict[str, Any]) -> bytes:
    """One line of strict JSON; a lone surrogate becomes its JSON escape."""
    text = json.dumps(fields, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _finite(value: Any) -> Any:
    """`value` with null for what JSON has no number for: a diverged loss must reach the log."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value


def _cut(value: Any, limit: int) -> Any:
    if isinstance(value, str) and len(value) > limit:
        return value[:limit] + "…"
    if isinstance(value, dict):
        kept = list(value.items())[: limit // 8]
        return {_cut(key, limit): _cut(item, limit) for key, item in kept}
    return [_cut(item, limit) for item in value[: limit // 8]] if isinstance(value, list) else value
