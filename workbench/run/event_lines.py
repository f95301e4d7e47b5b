"""Step lines of a log, read without making an object of each: a million of them in seconds.

Only lines exactly as the writer lays them out are taken; every other line, a step with a NaN
among them, goes the ordinary way. Both ways give the same curves.
"""

from __future__ import annotations

import dataclasses
import re

from workbench.run.events import Step

TAKEN = ("step", "loss", "learning_rate", "gradient_norm", "tokens_per_second")
NUMBER = rb"[-+.0-9eE]+"


def _pattern() -> re.Pattern[bytes]:
    """Every field of a step in its order; those that curves are made of are taken out."""
    fields = [
        b'"%s":%s' % (f.name.encode(), b"(%s)" % NUMBER if f.name in TAKEN else NUMBER)
        for f in dataclasses.fields(Step)
    ]
    head = rb'\{"seq":\d+,"time":"[^"\\]*","stage":"([^"\\]+)","kind":"step",'
    return re.compile(head + b",".join(fields) + rb"\}\r?")


_match = _pattern().fullmatch


class Batch:
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


def batches(lines: list[bytes]) -> list[Batch | bytes]:
    """The lines in their order, with runs of step lines of one stage as batches."""
    found: list[Batch | bytes] = []
    batch: Batch | None = None
    for line in lines:
        match = _match(line)
        if match is None:
            found.append(line)
            batch = None
            continue
        stage, *row = match.groups()
        if batch is None or batch.stage != stage:
            batch = Batch(stage)
            batch.first = line
            found.append(batch)
        batch.last = line
        batch.rows.append(tuple(row))
    return found
