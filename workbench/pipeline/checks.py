"""Everything about a base that can be checked before training, run where it is known first.

`prepare` calls `check` three times: with config.json before anything is read, with the tokenizer
before rows are tokenized, and with the headers of the weights before it ends. `--dry-run` does the
same as far as the files are on this machine. Invariant: no training starts that a check here would
have refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from workbench.core.findings import Finding, collect, raise_errors
from workbench.pipeline.export import checks as export_checks
from workbench.pipeline.models import base_checks
from workbench.pipeline.models.candidate import Candidate, When
from workbench.preset.inputs import is_local
from workbench.run import events
from workbench.run.events import Emit


def check(when: When, candidate: Candidate, emit: Emit) -> list[Finding]:
    """Run the checks of that moment; each warning becomes a note. Returns what blocks nothing.

    Raises UserErrors: with the first error of the base, then with all of its export. Those run
    where GGUF is asked for, and block nothing where this invocation does not reach the export.
    """
    passed = list[Finding]()
    for name, one in base_checks.CHECKS[when].items():
        passed += report(_placed(collect({name: one}, candidate), candidate), emit)
    if candidate.preset.export.formats:
        found = _placed(collect(export_checks.checks_of(when, candidate), candidate), candidate)
        passed += report(found if candidate.exports else map(_postponed, found), emit)
    return passed


def _placed(found: Iterable[Finding], candidate: Candidate) -> list[Finding]:
    """The findings with a Hub model's own name in place of its folder in the cache."""
    name = candidate.preset.model.base
    if is_local(name) or Path(name).expanduser().is_dir():
        return list(found)
    return [replace(one, path=_named(one.path, candidate.base, name)) for one in found]


def _named(path: Path | str | None, base: Path, name: str) -> Path | str | None:
    if path is None or not Path(path).is_relative_to(base):
        return path
    return Path(name) / Path(path).relative_to(base)


def _postponed(found: Finding) -> Finding:
    """An error of the export in a run that stops before it."""
    return replace(found, level="warning") if found.level == "error" else found


def report(found: Iterable[Finding], emit: Emit) -> list[Finding]:
    """Emit what blocks nothing, each once, and return it; raise UserErrors with the rest."""
    distinct = {(one.level, str(one)): one for one in found}  # two checks may need the same
    for one in distinct.values():
        if one.level != "error":
            level = "warning" if one.level == "warning" else "info"
            emit(events.Note(message=str(one), level=level))
    raise_errors(list(distinct.values()))
    return list(distinct.values())
