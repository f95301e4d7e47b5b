"""What the evaluations in a folder came to over time: a line a model, the newest last.

The file is for people and programs that ask how a run has got on; nothing is computed from it. An
evaluation that comes to the same as the model's last line adds none.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from workbench.core import files
from workbench.pipeline.evaluation.result import EvaluationResult, headline

NAME = "history.jsonl"
SHOWN = 20
FIGURES = ("prompts", "passed", "passed_low", "passed_high", "adheres", "exact", "perplexity")
Line = dict[str, Any]


def remember(folder: Path, result: EvaluationResult) -> list[Line]:
    """Add what is new to the folder's history; all of it, the newest last."""
    path = folder / NAME
    lines = _read(path)
    for line in _lines(result):
        before = [old for old in lines if old["model"] == line["model"]]
        if not before or _without_date(before[-1]) != _without_date(line):
            lines.append(line)
    text = "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines)
    files.write_atomic(path, text)
    return lines


def _lines(result: EvaluationResult) -> list[Line]:
    guarded = result.guards and ("passed" if result.passed else "FAILED")
    found = []
    for name, model in result.models.items():
        told = headline(model.figures.headline)
        line: Line = {"date": result.about.date, "model": name, "identity": model.identity}
        line |= {key: told[key] for key in FIGURES if key in told}
        line["guards"] = guarded if guarded and name == result.subject else ""
        line["checker"] = result.about.checker
        line["notes"] = "; ".join(result.about.training) if name == result.subject else ""
        found.append(line)
    return found


def _without_date(line: Line) -> Line:
    return {key: value for key, value in line.items() if key != "date"}


def _read(path: Path) -> list[Line]:
    """The lines that are whole; a damaged one is left out."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return []
    found = []
    for text in raw.splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("model"), str):
            found.append(line)
    return found
