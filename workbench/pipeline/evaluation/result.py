"""What an evaluation comes to, as plain values: for the report and the event log."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.pipeline.evaluation.metrics import Metrics, ModelMetrics
from workbench.reports.cases import Case
from workbench.reports.evaluation_changes import ChangesSince
from workbench.reports.evaluation_report import Estimate, GuardResult, PairedTest


@dataclass(frozen=True)
class ModelResult:
    """One model's cases and figures. `identity` says what exactly was asked.

    `guarded` are the cases of the guards, which count in no figure of the model.
    """

    name: str
    identity: dict[str, Any]
    cases: tuple[Case, ...]
    figures: ModelMetrics
    guarded: tuple[Case, ...] = ()

    @property
    def cases_file(self) -> str:
        """Where the report keeps all of its cases, relative to its own folder."""
        return f"cases/{slug(self.name)}.jsonl"


@dataclass(frozen=True)
class ReportHeader:
    """What the report tells beside the figures, handed in by whoever ran the rest of the run.

    `notes`: rows cut or skipped, one sentence each. `training`: what each stage came to. `files`:
    what was made. `next_steps`: commands.
    """

    title: str = "Evaluation"
    date: str = ""
    checker: str = ""
    notes: Sequence[str] = ()
    training: Sequence[str] = ()
    files: Sequence[str] = ()
    next_steps: Sequence[str] = ()


@dataclass(frozen=True)
class EvaluationResult:
    """All models, what `subject` (the tuned one) gained over each other, and the guards.

    `passed` is the verdict of the guards; `verdict` says it in words. `since` tells the change
    against an earlier evaluation, where there is one.
    """

    subject: str
    reference: str
    models: dict[str, ModelResult]
    gains: dict[str, PairedTest | None]
    guards: tuple[GuardResult, ...]
    passed: bool
    verdict: str
    report_markdown: Path
    report_json: Path
    about: ReportHeader = field(default_factory=ReportHeader)
    since: ChangesSince | None = None

    @property
    def files(self) -> list[Path]:
        """What the report consists of."""
        folder = self.report_json.parent
        cases = [folder / model.cases_file for model in self.models.values()]
        return [self.report_json, self.report_markdown, *cases]


def slug(name: str) -> str:
    """A file name for a model's name; different names never share one."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:60]
    if plain == name:
        return plain
    return f"{plain or 'model'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def headline(figures: Metrics) -> dict[str, Any]:
    """The figures as flat plain values, for the event log and for JSON."""
    flat: dict[str, Any] = {"prompts": figures.prompts, "not_measured": figures.not_measured}
    for name in ("passed", "adheres", "exact", "stopped", "perplexity"):
        share: Estimate | None = getattr(figures, name)
        if share is not None:
            flat[name] = round(share.value, 6)
            flat[f"{name}_low"], flat[f"{name}_high"] = round(share.low, 6), round(share.high, 6)
    flat |= {f"pass_at_{k}": round(value, 6) for k, value in figures.pass_at.items() if k > 1}
    if figures.expected_tokens:
        flat["expected_tokens"] = figures.expected_tokens
    return flat | {"mean_tokens": round(figures.mean_tokens, 2)}


def verdict_of(guards: Sequence[GuardResult]) -> tuple[bool, str]:
    """Whether every guarded ability was kept, and a sentence that says so."""
    lost = [guard.sentence for guard in guards if not guard.kept]
    if lost:
        return False, "Guards failed: " + "; ".join(lost) + "."
    if not guards:
        return True, "No guards configured."
    return True, "All guards passed: " + "; ".join(g.sentence for g in guards) + "."
