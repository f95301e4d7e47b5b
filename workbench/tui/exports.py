"""What a run has exported, in figures and words: files, parity, Modelfile, how to go on."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from workbench.headless import telling
from workbench.run import events
from workbench.run.folder import RunFolder
from workbench.run.state import RunState
from workbench.text import duration, one_line, size, visible
from workbench.tui.followed import Followed
from workbench.tui.styled import styled
from workbench.tui.widgets.runlist import bar

STAGE, PACKAGE, MODELFILE = "export", "package", "Modelfile"
BAR_CELLS = 24
MAX_BYTES = 1 << 20
COLUMNS = f"{'type':8}{'size':>10}  {'verdict':9}{'KL mean':>8}{'limit':>7}{'top-1':>7}"
COLUMNS += f"{'KL max':>8}  {'ids':6}{'kept as':8}"


@dataclass(frozen=True)
class Exported:
    """One model file. KL in nats; `top1` the share of positions with the same likeliest token."""

    file: events.FileExported
    parity: events.ParityMeasured | None
    limit: float | None
    note: str

    @property
    def path(self) -> str:
        return self.file.path


def exported(run: RunFolder, state: RunState) -> list[Exported]:
    """The files in the order in which they were made."""
    report = _report(run) if state.parity else {}
    return [
        Exported(
            file,
            state.parity.get(kind),
            _number(report.get(kind, {}).get("limit")),
            one_line(
                str(report.get(kind, {}).get("warning") or report.get(kind, {}).get("reason", ""))
            ),
        )
        for kind, file in state.exported.items()
    ]


def row(one: Exported) -> Text:
    """A line of the table, under `COLUMNS`."""
    text = Text(f"{one_line(one.file.type, 8):8}{size(one.file.bytes):>10}  ", no_wrap=True)
    parity = one.parity
    if parity is None:
        return text.append("not compared yet", "dim")
    text.append("✓ passed " if parity.passed else "✗ failed ", "green" if parity.passed else "red")
    limit = "" if one.limit is None else f"{one.limit:.0e}"
    text.append(f"{parity.kl_mean:>8.2g}{limit:>7}{parity.top1:>7.1%}{parity.kl_max:>8.2g}  ")
    text.append("same  " if parity.ids_equal else "OTHER ", "" if parity.ids_equal else "red")
    others = f"{one.file.fallbacks} other" if one.file.fallbacks else "all"
    text.append(f"{others:8}", "yellow" if one.file.fallbacks else "")
    return text.append(f"  {one.note}", "yellow")


def head(followed: Followed) -> Text:
    """How far the export is: the tensors done, the last one's name."""
    text = styled(f" {one_line(followed.run.name, 30)}", "bold")
    stage = followed.state.stages.get(STAGE)
    if stage is None or stage.status == "waiting":
        return text.append("  not exported yet", "not bold dim")
    if stage.status == "running" and stage.progress:
        done = stage.progress
        share = done.done / done.total if done.total else 0.0
        text.append(f"  {bar(share, BAR_CELLS)}▏", "not bold green")
        text.append(f" {done.done:,} of {done.total:,} {one_line(done.unit)}", "not bold")
        text.append(f"  {one_line(done.label, 60)}", "not bold dim")
        if done.done == done.total:
            text.append("  comparing with the trained model ...", "not bold")
        return text
    text.append(f"  export {stage.status}", "not bold")
    if stage.status == "done":
        text.append(f" in {duration(stage.elapsed_s)}", "not bold")
    return text


def lower_lines(run: RunFolder, state: RunState) -> list[Text]:
    """What fell back to other types, and the commands to go on with."""
    lines = [styled(f"! {one_line(note, 300)}", "yellow") for note in _fallbacks(state)]
    if state.error:
        lines.append(styled(f"✗ {one_line(state.error, 300)}", "red"))
    commands = go_on(run, state)
    if commands:
        lines += [Text(""), styled("Go on", "bold")]
        lines += [Text(f"  {visible(command)}") for command in commands]
    return lines


def go_on(run: RunFolder, state: RunState) -> list[str]:
    """Commands that take the model further."""
    if not state.exported:
        return []
    last = run.path / list(state.exported.values())[-1].path
    commands = [f"workbench chat {shlex.quote(run.name)}"]
    if any(run.evaluation.glob("base-*.gguf")):
        commands.append(f"workbench chat {shlex.quote(run.name)} --compare base")
    commands += [packed.command for packed in state.packaged if packed.command]
    commands.append(f"llama-cli -m {shlex.quote(str(last))}")
    return commands


def modelfile(run: RunFolder) -> str:
    """The text of the run's Modelfile, "" where there is none."""
    try:
        with open(run.export / MODELFILE, encoding="utf-8", errors="replace") as file:
            return file.read(MAX_BYTES)
    except OSError:
        return ""


def why_empty(followed: Followed | None) -> list[str]:
    """What stands here before there is a file."""
    if followed is None:
        return ["No run is chosen. 1 lists the runs."]
    stage = followed.state.stage
    doing = telling.label(stage) if stage and followed.at_work else ""
    if doing and stage != STAGE:
        return [f"The run is at {doing}; the export comes after the training."]
    if followed.at_work:
        return ["The files come when all tensors are through."]
    return [
        "This run has exported nothing.",
        "",
        f"r  resumes it: workbench resume {followed.run.name}",
    ]


def _fallbacks(state: RunState) -> list[str]:
    """Notes that name a type: which of its tensors had to take another."""
    starts = tuple(f"{kind}: " for kind in state.exported)
    return [note.message for note in state.notes if starts and note.message.startswith(starts)]


def _report(run: RunFolder) -> dict[str, dict[str, Any]]:
    """parity.json by type; {} where it is not there or damaged."""
    path: Path = run.export / "parity.json"
    try:
        found = json.loads(path.read_bytes())
        return {str(one["type"]): dict(one) for one in found["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
