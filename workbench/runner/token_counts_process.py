"""The helper process that counts: the rows' lengths in tokens, how many train, how many validate.

Lengths come of all rows, or of `SAMPLE` chosen without regard to their order, the same at every
time. The split is that of training for this source alone: without its duplicates, by the preset's
share and seed. It is not made beyond `SPLIT_ROWS` rows, as it needs all of them in memory.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from workbench.core.errors import UserError
from workbench.core.subprocesses import Message, MessageSender, run_task
from workbench.dataset.browse.record_library import RecordLibrary, SourceRequest
from workbench.dataset.duplicates import dedupe
from workbench.dataset.rows import Row
from workbench.dataset.split import split
from workbench.preset.loader import load
from workbench.preset.schema import Data
from workbench.runner.preview import load_preview
from workbench.tokenization.preview import TokenPreview

SAMPLE = 20_000
SPLIT_ROWS = 100_000


def count(request: Message, sender: MessageSender) -> None:
    """Say `limits`, then `split`, then `lengths` (0: cannot be trained on) as they are counted."""
    source, n_rows = SourceRequest.from_json(request["source"]), request["rows"]
    data = load(request["preset"]).preset.data
    rows = list(_all_rows(source)) if n_rows <= SPLIT_ROWS else []
    if rows:
        sender.send(split=_split(rows, data))
    try:
        lens = load_preview(request["preset"])
    except UserError as error:
        sender.send(refused=str(error))
        return
    chosen = random.Random(0).sample(range(n_rows), min(SAMPLE, n_rows))
    limits = {kind: limit.tokens for kind, limit in lens.limits.items()}
    sender.send(limits=limits, of=len(chosen))
    some = (rows[n] for n in chosen if n < len(rows)) if rows else _some_rows(source, chosen)
    _lengths(some, lens, sender)


def _lengths(rows: Iterator[Row], lens: TokenPreview, sender: MessageSender) -> None:
    lengths: list[int] = []
    for row in rows:
        lengths.append(lens.count(row))
        if sender.due():
            sender.send(lengths=lengths)
            lengths = []
    sender.send(lengths=lengths)


def _split(rows: list[Row], data: Data) -> dict[str, dict[str, int]]:
    """How many rows of each category are trained on, validated with, and left out as repeated."""
    kept, dropped = dedupe(rows, "none" if data.dedupe == "none" else "exact")
    train, validation = split(kept, data.validation, data.seed)
    sides = {"train": train, "validation": validation, "repeated": [row for row, _ in dropped]}
    return {side: dict(Counter(row.category for row in found)) for side, found in sides.items()}


def _all_rows(source: SourceRequest) -> Iterator[Row]:
    return (entry for entry in source.entries() if isinstance(entry, Row))


def _some_rows(source: SourceRequest, chosen: list[int]) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        library = RecordLibrary(source.plan(), Path(folder), answers=source.answers)
        try:
            entries = _streamed(source, chosen) if library.spooled else _cut(library, chosen)
            yield from (entry for entry in entries if isinstance(entry, Row))
        finally:
            library.close()


def _cut(library: RecordLibrary, chosen: list[int]) -> Iterator[object]:
    while library.extend():
        pass
    yield from (library.entry(number) for number in chosen if number < len(library))


def _streamed(source: SourceRequest, chosen: list[int]) -> Iterator[object]:
    wanted = set(chosen)
    yield from (row for number, row in enumerate(_all_rows(source)) if number in wanted)


if __name__ == "__main__":
    sys.exit(run_task(count))
