"""From the rows of all sources to what one training stage sees: chosen, repeated, weighed, split.

Pure functions of the rows and the preset. Copies are made after the split, so none of them can
reach the validation rows.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workbench.dataset.rows import Row
from workbench.dataset.split import split
from workbench.objectives import objective_of
from workbench.preset.schema import Data, DataSource, TrainStage


@dataclass(frozen=True)
class Splits:
    """Rows for training and for validation; no row, and no prompt, stands in both."""

    train: list[Row]
    validation: list[Row]


def source_name(source: DataSource, index: int) -> str:
    """The name that stages and reports call a source by: its own, or its index."""
    return source.name or str(index)


def split_rows(rows: Iterable[Row], data: Data) -> Splits:
    """The rows by their source's `use`: all to one side, or split by the share."""
    uses = {source_name(source, n): source.use for n, source in enumerate(data.source)}
    sides: dict[str, list[Row]] = {"train": [], "validation": [], "auto": []}
    for row in rows:
        sides[uses[row.source]].append(row)
    train, validation = split(sides["auto"], data.validation, data.seed)
    return Splits(sides["train"] + list(train), sides["validation"] + list(validation))


def rows_of_stage(rows: Sequence[Row], stage: TrainStage, data: Data) -> list[Row]:
    """The rows that a stage sees: of its sources, and of the kind that its objective takes."""
    names = [source_name(source, n) for n, source in enumerate(data.source)]
    wished = {names[s] if isinstance(s, int) else s for s in stage.source} or set(names)
    kind = objective_of(stage.objective).row_kind
    return [row for row in rows if row.source in wished and row.kind == kind]


def repeat_rows(rows: Sequence[Row], data: Data) -> list[Row]:
    """Each row as often as an epoch shows it: `repeat` times `weight` of its source.

    The whole part is copies; of the fraction a seeded choice of the source's rows is taken.
    """
    times = {source_name(s, n): s.repeat * s.weight for n, s in enumerate(data.source)}
    out: list[Row] = []
    for name, count in times.items():
        of_source = [row for row in rows if row.source == name]
        out += of_source * int(count)
        extra = round(len(of_source) * (count - int(count)))
        chosen = random.Random(f"{data.seed}/{name}").sample(range(len(of_source)), extra)
        out += [of_source[index] for index in sorted(chosen)]
    return out
