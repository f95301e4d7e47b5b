"""Several runs in one table: what their presets say differently, and what came of it.

Pure reading of run folders; the screen and `workbench runs RUN RUN` show the same. The first run
is the one that is looked at: its evaluation is told against that of each of the others.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.core.errors import UserError
from workbench.core.text import duration, one_line, size
from workbench.reports.cases import Case
from workbench.reports.evaluation_changes import EarlierEvaluation, EvaluationChanges, compared
from workbench.reports.evaluation_report import LABELS, NAME, Figures, Report, read_report
from workbench.reports.run_overview import run_status
from workbench.run import lock
from workbench.run.folder import RunFolder
from workbench.run.log import skim
from workbench.run.state import RunState, StageState

Value = str | int | float | bool | None
ABSENT = "-"


@dataclass(frozen=True)
class Row:
    """One fact of every run, in their order: the values, and the `cells` that a person reads.

    Where a run does not have it the value is None.
    """

    section: str
    name: str
    values: tuple[Value, ...]
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """How the first run's evaluation stands against that of another run."""

    run: str
    models: tuple[str, str]
    against: EvaluationChanges
    newly_failing: tuple[Case, ...]
    newly_passing: tuple[Case, ...]

    @property
    def sentence(self) -> str:
        return f"{self.models[0]} vs. {self.run} {self.models[1]}: {self.against.sentence}"


@dataclass(frozen=True)
class Comparison:
    """`rows` are grouped by their section; `notes` tell what could not be read."""

    names: tuple[str, ...]
    rows: tuple[Row, ...]
    changes: tuple[Change, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Facts:
    """All that is read of one run."""

    name: str
    standing: str
    preset: dict[str, Value]
    state: RunState
    report: Report | None
    trouble: str


def compare(runs: Sequence[RunFolder]) -> Comparison:
    """Read the runs and put them beside each other. Takes its time where an evaluation is large."""
    facts = [_facts(run) for run in runs]
    rows = [
        *_rows("run", [_outcome(one) for one in facts], _words),
        *_preset_rows(facts),
        *_training_rows(facts),
        *_rows("export", [_sizes(one.state) for one in facts], size),
        *_rows("parity: mean KL (nats)", [_parity(one.state) for one in facts], _figure),
        *_evaluation_rows(facts),
    ]
    changes, notes = _changes(facts)
    told = tuple(one.trouble for one in facts if one.trouble)
    return Comparison(tuple(one.name for one in facts), tuple(rows), changes, told + notes)


def flat(value: object, path: str = "") -> dict[str, Value]:
    """A preset's keys as `--set` names them (`train.0.lora.rank`), with their plain values."""
    if isinstance(value, Mapping):
        entries = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, (Mapping, list)) for item in value):
        entries = [(str(number), item) for number, item in enumerate(value)]
    else:
        plain = value if isinstance(value, (str, int, float)) else str(value)
        return {path: plain}
    found: dict[str, Value] = {}
    for key, item in entries:
        found |= flat(item, f"{path}.{key}" if path else key)
    return found


def _facts(run: RunFolder) -> _Facts:
    owner = lock.owner(run.lock_file)  # before the log, as in the overview
    state = RunState()
    state.apply(skim(run.events_file))
    trouble, preset, report = "", {}, None
    try:
        preset = flat(tomllib.loads(run.preset_file.read_text("utf-8")))
        report = read_report(run.evaluation) if (run.evaluation / NAME).exists() else None
    except (OSError, ValueError, UserError) as error:
        trouble = f"{run.name}: {one_line(str(error), 300)}"
    stands = run_status(state, at_work=owner is not None)
    return _Facts(run.name, stands, preset, state, report, trouble)


def _rows(
    section: str, each: Sequence[Mapping[str, Value]], show: Callable[[Any], str]
) -> list[Row]:
    """A row for every name that some run knows, in the order in which they come."""
    names = dict.fromkeys(name for known in each for name in known)
    return [_row(section, name, [known.get(name) for known in each], show) for name in names]


def _row(section: str, name: str, values: Sequence[Value], show: Callable[[Any], str]) -> Row:
    cells = (ABSENT if value is None else show(value) for value in values)
    return Row(section, name, tuple(values), tuple(cells))


def _preset_rows(facts: Sequence[_Facts]) -> list[Row]:
    """The keys that the presets say differently; none for a run alone."""
    rows = _rows("preset", [one.preset for one in facts], _words)
    return [row for row in rows if len(set(map(repr, row.values))) > 1]


def _outcome(one: _Facts) -> dict[str, Value]:
    data = one.state.data
    told: dict[str, Value] = {"status": one.standing}
    if one.state.error:
        told["error"] = one.state.error
    if data:
        told |= {"training rows": data.train_rows, "validation rows": data.validation_rows}
    return told


def _training_rows(facts: Sequence[_Facts]) -> list[Row]:
    stages = dict.fromkeys(
        name for one in facts for name, stage in one.state.stages.items() if stage.steps
    )
    rows: list[Row] = []
    for name in stages:
        each = [_training(one.state.stages.get(name)) for one in facts]
        rows += _rows(name.replace(":", " ", 1), each, _figure)
        times = [_time(one.state.stages.get(name)) for one in facts]
        rows += _rows(name.replace(":", " ", 1), times, duration)
    return rows


def _training(stage: StageState | None) -> dict[str, Value]:
    if stage is None or not stage.steps:
        return {}
    last = stage.steps[-1]
    told: dict[str, Value] = {"steps": last.step, "last training loss": last.loss}
    if stage.best_loss is not None:
        told |= {"best validation loss": stage.best_loss}
        told |= {"last validation loss": stage.validations[-1].loss}
    return told | {"memory at end": size(last.memory_bytes)}


def _time(stage: StageState | None) -> dict[str, Value]:
    return {"time": stage.elapsed_s} if stage and stage.status == "done" else {}


def _sizes(state: RunState) -> dict[str, Value]:
    return {kind: made.bytes for kind, made in state.exported.items()}


def _parity(state: RunState) -> dict[str, Value]:
    return {kind: measured.kl_mean for kind, measured in state.parity.items()}


def _evaluation_rows(facts: Sequence[_Facts]) -> list[Row]:
    """The headline figures of every model that some run has asked."""
    reports = [one.report for one in facts]
    models = dict.fromkeys(name for report in reports if report for name in report.models)
    rows: list[Row] = []
    for model in models:
        told = [report.models.get(model) if report else None for report in reports]
        rows += _model_rows(f"evaluation: {model}", [one.headline if one else {} for one in told])
    return rows + _rows("evaluation", [_guards(report) for report in reports], str)


def _model_rows(section: str, each: Sequence[Figures]) -> list[Row]:
    rows = []
    for name, label in LABELS.items():
        values = [figures.get(name) for figures in each]
        if any(values) if name == "not_measured" else set(values) != {None}:
            cells = tuple(_share(figures, name) for figures in each)
            rows.append(Row(section, label, tuple(values), cells))
    return rows


def _share(figures: Figures, name: str) -> str:
    """`0.95 (0.91 to 0.98)`, the interval where there is one."""
    if name not in figures:
        return ABSENT
    low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
    interval = "" if low is None or high is None else f" ({low:.3f} to {high:.3f})"
    return f"{figures[name]:.3f}{interval}" if interval else _figure(figures[name])


def _guards(report: Report | None) -> dict[str, Value]:
    if report is None or not report.guards:
        return {}
    return {"guards": "passed" if report.passed else "FAILED"}


def _changes(facts: Sequence[_Facts]) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    first = facts[0] if facts else None
    if first is None or first.report is None:
        return (), ()
    changes, notes = [], []
    for other in facts[1:]:
        if other.report:
            try:
                changes.append(_change(first, first.report, other, other.report))
            except UserError as error:
                notes.append(one_line(str(error), 300))
    return tuple(changes), tuple(notes)


def _change(first: _Facts, now: Report, other: _Facts, before: Report) -> Change:
    subject = now.models[now.subject]
    cases = list(subject.read_cases())
    found = compared(now.subject, cases, subject.apart, EarlierEvaluation(other.name, before))
    models = (f"{first.name} {now.subject}", found.model)
    return Change(other.name, models, found.against, found.newly_failing, found.newly_passing)


def _words(value: Value) -> str:
    return one_line(str(value), 200)


def _figure(value: str | float) -> str:
    """Four digits that count; whole numbers and words as they are."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else f"{value:,}"
