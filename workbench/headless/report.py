"""The short report at a run's end: figures before and after, files, and how to go on."""

from __future__ import annotations

from pathlib import Path

from workbench.headless.telling import number
from workbench.run.folder import RunFolder
from workbench.run.state import RunState
from workbench.text import one_line, size, table

MAX_ANSWERS = 3


def report(run: RunFolder, state: RunState) -> list[str]:
    """The report's lines; a part that the run did not make is left out."""
    parts = [_figures(state), _files(run), _next(run, state)]
    return [line for part in parts if part for line in ("", *part)]


def _figures(state: RunState) -> list[str]:
    """A row a figure, a column a model: base first, tuned last."""
    models = sorted(state.figures, key=lambda name: (name != "base", name == "tuned"))
    names = list(dict.fromkeys(name for model in models for name in state.figures[model]))
    rows = [["", *models]]
    for name in names:
        rows.append([name, *(number(state.figures[model].get(name, "")) for model in models)])
    return [f"  {line}" for line in table(rows)] if len(rows) > 1 else []


def _files(run: RunFolder) -> list[str]:
    """What the export folder holds, and the evaluation's report."""
    made = [path for path in sorted(run.export.glob("*")) if path.is_file()]
    made += [path for path in [run.evaluation / "report.md"] if path.is_file()]
    rows = [(shown(path), size(path.stat().st_size)) for path in made]
    return ["Files", *(f"  {line}" for line in table(rows, width=200))] if rows else []


def _next(run: RunFolder, state: RunState) -> list[str]:
    rows = [f"  {one_line(packaged.command, 200)}" for packaged in state.packaged]
    talk = [f"  workbench chat {run.name}"] if any(run.export.glob("*.gguf")) else []
    return ["Go on", *talk, *rows] if talk or rows else []


def shown(path: Path) -> str:
    """The path relative to the current folder where it lies below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
