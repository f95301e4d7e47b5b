"""What a run is asked to export beyond its preset: `exports.json`, written by the worker alone.

A request is a stage of its own, and its name says all of it: `export:q5_k_m+q8_0+merged`. It is on
record before its work begins, so that a run whose worker was killed amid it goes on with it; one
that failed is taken off again, so that the run stands as it stood.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from workbench.core.errors import UserError
from workbench.core.files import write_json
from workbench.run.folder import RunFolder
from workbench.run.log import skim
from workbench.run.state import RunState

PREFIX = "export:"
MERGED = "merged"


@dataclass(frozen=True)
class ExportRequest:
    """GGUF types by name, and whether the merged model as safetensors is wanted too."""

    types: tuple[str, ...]
    merged: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """The types, and `merged`."""
        return (*self.types, MERGED) if self.merged else self.types

    @property
    def stage(self) -> str:
        """The name of the stage that does it."""
        return PREFIX + "+".join(self.words)


def parse(stage: str) -> ExportRequest | None:
    """The request that a stage's name stands for; None for a stage of another kind."""
    words = [word for word in stage.removeprefix(PREFIX).split("+") if word]
    if not stage.startswith(PREFIX) or not words:
        return None
    return ExportRequest(tuple(word for word in words if word != MERGED), MERGED in words)


def requests(run: RunFolder) -> list[ExportRequest]:
    """All that are on record, the oldest first. Raises UserError when the record is damaged."""
    path = run.path / "exports.json"
    try:
        stages = json.loads(path.read_bytes())["stages"]
        found = [parse(stage) for stage in stages]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError, AttributeError):
        found = [None]
    if None in found:
        raise UserError("the export record is damaged", path=path, hint="delete it")
    return [request for request in found if request]


def record(run: RunFolder, request: ExportRequest) -> None:
    """Put it on record, once. Only the worker that holds the run may."""
    _write(run, [*(other for other in requests(run) if other != request), request])


def withdraw(run: RunFolder, request: ExportRequest) -> None:
    """Take it off the record."""
    _write(run, [other for other in requests(run) if other != request])


def missing(run: RunFolder, wanted: ExportRequest) -> ExportRequest | None:
    """What of `wanted` the run has not made, or not any more; None when all of it stands."""
    state = RunState()
    state.apply(skim(run.events_file))
    there = {name for name, made in state.exported.items() if (run.path / made.path).is_file()}
    left = tuple(name for name in wanted.types if name not in there)
    merged = wanted.merged and not (run.export / MERGED / "manifest.json").is_file()
    return ExportRequest(left, merged) if left or merged else None


def _write(run: RunFolder, left: list[ExportRequest]) -> None:
    write_json(run.path / "exports.json", {"stages": [request.stage for request in left]})
