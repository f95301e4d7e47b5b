"""The short report at a run's end: figures and answers before and after, files, how to go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.bases.targets import TargetGroup
from workbench.core.errors import UserError
from workbench.core.text import one_line, quantity, size, table, visible
from workbench.preset.miniature import WARNING
from workbench.reports.cases import Case
from workbench.reports.evaluation_report import LABELS, ModelReport, read_report
from workbench.reports.status_text import label, number
from workbench.run.checks import tokenizer_differences
from workbench.run.folder import RunFolder
from workbench.run.state import RunState

MAX_PROMPTS = 3
MAX_ANSWER_LINES = 8
COUNTS = ("mean_tokens", "not_measured", "prompts")


def report(run: RunFolder, state: RunState) -> list[str]:
    """The report's lines; a part that the run did not make is left out."""
    small = [WARNING] if any(note.message == WARNING for note in state.notes) else []
    parts = [
        small,
        _figures(state),
        list(_answers(run)),
        _tokenization(run),
        list(_trained(state)),
        _files(run),
        _next(run, state),
    ]
    return [line for part in parts if part for line in ("", *part)]


def _figures(state: RunState) -> list[str]:
    """A row a figure, a column a model, in the order in which they were asked."""
    models = list(state.figures)
    known = {name for model in models for name in state.figures[model]}
    names = [name for name in LABELS if name in known]
    names += sorted(name for name in known if name.startswith("pass_at_"))
    rows = [["", *models]]
    for name in names:
        cells = [_cell(state.figures[model], name) for model in models]
        if name != "not_measured" or any(cell not in ("", "0") for cell in cells):
            rows.append([LABELS.get(name, name.replace("pass_at_", "pass@")), *cells])
    return [f"  {line}" for line in table(rows)] if len(rows) > 1 else []


def _cell(figures: dict[str, Any], name: str) -> str:
    """`0.94 (0.90 to 0.97)`: the share with its interval, where there is one."""
    if name not in figures:
        return ""
    value = figures[name]
    if name in COUNTS or f"{name}_low" not in figures:
        return f"{value:.0f}" if name in COUNTS and isinstance(value, float) else number(value)
    low, high = number(figures[f"{name}_low"]), number(figures[f"{name}_high"])
    return f"{number(value)} ({low} to {high})"


def _answers(run: RunFolder) -> Iterator[str]:
    """The same held-out prompts, answered before and after: one of each category first."""
    try:
        told = read_report(run.evaluation)
        names = [told.reference, told.subject]
        if names[0] == names[1] or told.reference not in told.models:
            return
        before, after = (_by_index(told.models[name]) for name in names)
    except UserError:
        return
    yield "The same prompts before and after tuning"
    for index in _chosen([case for case in after.values() if case.index in before]):
        yield f"  > {one_line(after[index].prompt, 200)}"
        for name, case in zip(names, (before[index], after[index]), strict=True):
            yield from _answer(name, case)


def _by_index(model: ModelReport) -> dict[int, Case]:
    """The first answer to each prompt, those of guards apart."""
    return {case.index: case for case in model.read_cases() if not case.guard and not case.sample}


def _answer(name: str, case: Case) -> Iterator[str]:
    verdict = {True: " (passes)", False: " (fails)", None: ""}[case.passed]
    yield f"    {one_line(name)}{verdict}"
    lines = visible(case.answer).strip().splitlines() or ["(nothing)"]
    yield from (
        f"      {one_line(line, 120) if len(line) > 120 else line}"
        for line in lines[:MAX_ANSWER_LINES]
    )
    if len(lines) > MAX_ANSWER_LINES:
        yield f"      … {quantity(len(lines) - MAX_ANSWER_LINES, 'more line')}"


def _chosen(cases: list[Case]) -> list[int]:
    """The first prompt of each of the first few categories; of a single one its first few."""
    firsts: dict[str, int] = {}
    for case in cases:
        firsts.setdefault(case.category, case.index)
    chosen = list(firsts.values())
    chosen += [case.index for case in cases if case.index not in chosen]
    return chosen[:MAX_PROMPTS]


def _tokenization(run: RunFolder) -> list[str]:
    """Rows that llama.cpp tokenizes differently from training."""
    lines = tokenizer_differences(run, in_data=True)
    told = [f"  {one_line(line, 300)}" for line in lines]
    return ["Tokenization in llama.cpp", *told] if told else []


def _trained(state: RunState) -> Iterator[str]:
    """What each stage's adapter has trained: module pattern × count × parameters."""
    plans = [(stage.name, stage.plan) for stage in state.stages.values() if stage.plan]
    if not any(plan.targets for _, plan in plans):
        return
    yield "Trained parameters"
    for name, plan in plans:
        share = f"{plan.trainable_parameters:,} of {plan.total_parameters:,}"
        yield f"  {label(name)}: {share}"
        yield from (f"    {one_line(TargetGroup(**one).line(), 300)}" for one in plan.targets)


def _files(run: RunFolder) -> list[str]:
    """What the export folder holds, and the evaluation's report."""
    made = [path for path in sorted(run.export.glob("[!.]*")) if path.is_file()]
    made += [path for path in [run.evaluation / "report.md"] if path.is_file()]
    rows = [(shown(path), size(path.stat().st_size)) for path in made]
    return ["Files", *(f"  {line}" for line in table(rows, width=200))] if rows else []


def _next(run: RunFolder, state: RunState) -> list[str]:
    talk = [f"  workbench chat {run.name}"] if any(run.export.glob("*.gguf")) else []
    rows = [f"  {one_line(packaged.command, 400)}" for packaged in state.packaged]
    return ["Next steps", *talk, *rows] if talk or rows else []


def shown(path: Path) -> str:
    """The path relative to the current folder where it lies below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
