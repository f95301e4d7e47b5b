"""How far an export is: the way from the adapter to the Modelfile, step by step, and its progress.

Merging, writing and quantizing are one pass over the weights, so they are under way together;
types that only llama.cpp makes are quantized after it.
"""

from __future__ import annotations

from typing import Literal

from rich.text import Text

from workbench.core.text import duration, one_line
from workbench.inference.quantization import KINDS
from workbench.reports import status_text
from workbench.run.state import RunState, StageState
from workbench.tui.panes.runs.run_table import bar
from workbench.tui.runs.follower import RunFollower
from workbench.tui.styled_text import styled

Mark = Literal["done", "running", "waiting", "failed", "none"]
SIGNS: dict[Mark, tuple[str, str]] = {
    "done": ("✓", "green"),
    "running": ("▶", "bold"),
    "waiting": ("·", "dim"),
    "failed": ("✗", "red"),
    "none": ("–", "dim"),
}
STAGE, PACKAGE = "export", "package"
PASS, COMPARING = ("merge", "GGUF", "quantize"), "compare"
LABELS = {"write": 1, "quantize": 2, COMPARING: 3, "merge": 4}  # the first word of what it does
BAR_CELLS = 16


def is_export(stage: str) -> bool:
    """Whether the stage is the export, or one on request."""
    return stage.partition(":")[0] == STAGE


def current_stage(state: RunState) -> StageState | None:
    """The export that is under way, or the last there was; None before the first has begun."""
    begun = [stage for stage in state.stages.values() if is_export(stage.name) and stage.started]
    return max(begun, key=lambda stage: stage.started, default=None)


def steps(state: RunState) -> list[tuple[str, Mark]]:
    """Every step of the way with how it stands."""
    stage, plan = current_stage(state), state.export_plan
    at = _phase(stage)
    quantized = [name for name in (plan.bytes if plan else {}) if not KINDS[name].is_float]
    way = [("adapter", _mark(stage, at, 0))]
    if plan and not plan.adapters:
        way = [("no adapter", "none")]
    way += [("merge", _mark(stage, at, 1)), ("GGUF", _mark(stage, at, 1))]
    in_pass = any(KINDS[name].streamed for name in quantized)
    here = 1 if at <= 1 and in_pass else 2
    way.append(("quantize", _mark(stage, at, here) if quantized or not plan else "none"))
    way.append((COMPARING, _mark(stage, at, 3)))
    if plan and plan.merged:
        way.append(("safetensors", _mark(stage, at, 4)))
    package = state.stages.get(PACKAGE)
    packed: Mark = "waiting" if package is None else _as_mark(package)
    return [*way, ("Modelfile", packed)]


def way_line(state: RunState) -> Text:
    """The steps on one line: `✓ adapter  ▶ merge  ▶ GGUF  · quantize ...`."""
    text = Text(no_wrap=True)
    for name, mark in steps(state):
        sign, style = SIGNS[mark]
        text.append(f" {sign} {name} ", style)
    return text


def head(followed: RunFollower) -> Text:
    """What the export does at the moment: how far, with what, how long still."""
    text = styled(f" {one_line(followed.run.name, 30)}", "bold")
    stage = current_stage(followed.state)
    if stage is None:
        return text.append("  not exported yet", "not bold dim")
    if stage.status == "running":
        return _running(text, stage, followed.at_work)
    text.append(f"  {status_text.label(stage.name)} {stage.status}", "not bold")
    if stage.status == "done":
        text.append(f" in {duration(stage.elapsed_s)}", "not bold")
    return text


def _running(text: Text, stage: StageState, at_work: bool) -> Text:
    if not at_work:
        return text.append("  the worker died; press r to resume", "not bold red")
    phrase = status_text.running_text(stage)
    if phrase.share is not None:
        text.append(f"  {bar(phrase.share, BAR_CELLS)}▏", "not bold green")
    return text.append(f" {phrase.text}", "not bold").append(f"  {phrase.left}", "not bold dim")


def _phase(stage: StageState | None) -> int:
    """Which step the running stage is at: 0 before the pass, 4 for the merged safetensors."""
    if stage is None or stage.progress is None:
        return 0
    return LABELS.get(stage.progress.label.partition(" ")[0], 0)


def _mark(stage: StageState | None, at: int, step: int) -> Mark:
    if stage is None or stage.status == "waiting":
        return "waiting"
    if stage.status in ("done", "skipped") or step < at:
        return "done"
    if step > at:
        return "waiting"
    return _as_mark(stage)


def _as_mark(stage: StageState) -> Mark:
    match stage.status:
        case "done" | "skipped":
            return "done"
        case "running":
            return "running"
        case "failed":
            return "failed"
    return "waiting"
