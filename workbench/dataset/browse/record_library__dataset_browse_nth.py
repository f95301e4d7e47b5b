"""One row of a source by its number, without reading those before it where that can be."""

from __future__ import annotations

import tempfile
from pathlib import Path

from workbench.dataset.browse.record_library import Library
from workbench.dataset.browse.record_library__dataset_browse_request import Source
from workbench.dataset.rows import Fault, Row, raise_faults
from workbench.core.errors import UserError
from workbench.core.text import quantity


def nth(source: Source, number: int) -> Row:
    """Row `number`, from 1; faulty rows count too. Raises UserError for one of those, or none."""
    plan = source.plan()
    raise_faults(plan.faults)
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        library = Library(plan, Path(folder), answers=source.answers)
        try:
            entry, count = _streamed(source, number) if library.spooled else _cut(library, number)
        finally:
            library.close()
    if isinstance(entry, Fault):
        raise entry.error()
    if entry is None:
        what = f"there is no row {number:,}: the data has {quantity(count, 'row')}"
        raise UserError(what, path=source.path)
    return entry


def _cut(library: Library, number: int) -> tuple[Row | Fault | None, int]:
    while len(library) < number and library.extend():
        pass
    return (library.entry(number - 1) if len(library) >= number else None), len(library)


def _streamed(source: Source, number: int) -> tuple[Row | Fault | None, int]:
    count = 0
    for entry in source.entries():
        count += isinstance(entry, Row) or entry.fatal
        if count == number:
            return entry, count
    return None, count
