"""The evaluations that came before a run's next one: its own last one, then those of other runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from workbench.core.errors import UserError
from workbench.reports.evaluation_report import NAME, Report, read_report
from workbench.reports.evaluation_changes__evaluations_since import Earlier
from workbench.run.folder import RunFolder, list_runs

LOOKED_AT = 20  # runs; whoever keeps hundreds compares with the latest


def earlier_evaluations(run: RunFolder) -> Iterator[Earlier]:
    """The newest first, each read when it is asked for; what cannot be read is left out.

    The run's own goes first: it tells what going on with the training has changed.
    """
    own = _read(run.evaluation)
    if own:
        yield Earlier(f"the evaluation of {own.date}", own)
    yield from _of_others(run)


def _of_others(run: RunFolder) -> Iterator[Earlier]:
    others = (other for other in list_runs(run.path.parent) if other.path != run.path)
    reports = {other.evaluation / NAME: other for other in others}
    dated = sorted(((_written(path), path) for path in reports), reverse=True)
    for written, path in dated[:LOOKED_AT]:
        report = _read(path.parent) if written else None
        if report:
            yield Earlier(reports[path].name, report)


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _read(folder: Path) -> Report | None:
    try:
        return read_report(folder)
    except (UserError, OSError):
        return None
