"""What a run has exported, in figures and words: files, parity, Modelfile, how to go on."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from workbench.core.text import one_line, size, visible
from workbench.inference.quantization import KINDS, estimated_bytes
from workbench.reports import status_text
from workbench.run import events
from workbench.run.export_requests import MERGED
from workbench.run.folder import RunFolder
from workbench.run.state import RunState
from workbench.tui.panes.export.progress import current_stage, is_export
from workbench.tui.runs.follower import RunFollower
from workbench.tui.styled_text import styled

MODELFILE = "Modelfile"
MAX_BYTES = 1 << 20
COLUMNS = f"{'type':8}{'size':>10}  {'verdict':9}{'mean KL':>8}{'limit':>7}{'top-1':>7}"
COLUMNS += f"{'max KL':>8}  {'ids':6}{'fallback':8}"


@dataclass(frozen=True)
class ExportedFile:
    """One model file, or one that is to come (`path` is "" then, `bytes` an estimate).

    KL in nats; `top1` the share of positions with the same likeliest token.
    """

    type: str
    path: str
    bytes: int
    fallbacks: int
    parity: events.ParityMeasured | None
    limit: float | None
    note: str


def exported(run: RunFolder, state: RunState) -> list[ExportedFile]:
    """The files in the order in which they were made, then those that are being made."""
    report = _report(run) if state.parity else {}
    made = [_made(file, state, report.get(kind, {})) for kind, file in state.exported.items()]
    stage, plan = current_stage(state), state.export_plan
    if plan is None or stage is None or stage.status != "running":
        return made
    coming = {kind: n_bytes for kind, n_bytes in plan.bytes.items() if kind not in state.exported}
    return made + [
        ExportedFile(kind, "", int(n_bytes), len(plan.fallbacks.get(kind, [])), None, None, "")
        for kind, n_bytes in coming.items()
    ]


def _made(file: events.FileExported, state: RunState, entry: dict[str, Any]) -> ExportedFile:
    return ExportedFile(
        file.type,
        file.path,
        file.bytes,
        file.fallbacks,
        state.parity.get(file.type),
        _number(entry.get("limit")),
        one_line(str(entry.get("warning") or entry.get("reason", ""))),
    )


def row(one: ExportedFile) -> Text:
    """A line of the table, under `COLUMNS`."""
    about = "" if one.path else "~"
    text = Text(f"{one_line(one.type, 8):8}{about + size(one.bytes):>10}  ", no_wrap=True)
    parity = one.parity
    if parity is None:
        return text.append("not compared yet" if one.path else "writing ...", "dim")
    text.append("✓ passed " if parity.passed else "✗ failed ", "green" if parity.passed else "red")
    limit = "" if one.limit is None else f"{one.limit:.0e}"
    text.append(f"{parity.kl_mean:>8.2g}{limit:>7}{parity.top1:>7.1%}{parity.kl_max:>8.2g}  ")
    text.append("same  " if parity.ids_equal else "DIFF  ", "" if parity.ids_equal else "red")
    others = f"{one.fallbacks}" if one.fallbacks else "none"
    text.append(f"{others:8}", "yellow" if one.fallbacks else "")
    return text.append(f"  {one.note}", "yellow")


def lower_lines(run: RunFolder, state: RunState) -> list[Text]:
    """What fell back to other types, and the commands to go on with."""
    lines = [styled(f"! {one_line(note, 300)}", "yellow") for note in _fallbacks(state)]
    if state.error:
        lines.append(styled(f"✗ {one_line(state.error, 300)}", "red"))
    commands = go_on(run, state)
    if commands:
        lines += [Text(""), styled("Next steps", "bold")]
        lines += [Text(f"  {visible(command)}") for command in commands]
    return lines


def choices(run: RunFolder, state: RunState) -> list[tuple[str, str]]:
    """What else can be exported, each with its size and what it is for."""
    known = [(name, made.bytes) for name, made in state.exported.items()]
    left = [kind for name, kind in KINDS.items() if name not in state.exported]
    found = []
    for kind in left:
        n_bytes = estimated_bytes(kind, known)
        found.append(
            (kind.name, f"about {size(n_bytes):>9}  {kind.about}" if n_bytes else kind.about)
        )
    if not (run.export / MERGED / "manifest.json").is_file():
        found.append((MERGED, "the merged model as safetensors, for other tools"))
    return found


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


def why_empty(followed: RunFollower | None) -> list[str]:
    """What stands here before there is a file."""
    if followed is None:
        return ["No run selected. Press 1 for the list of runs."]
    stage = followed.state.stage
    doing = status_text.label(stage) if stage and followed.at_work else ""
    if doing and not is_export(stage):
        return [f"The run is at {doing}; the export starts after training."]
    if followed.at_work:
        return ["Files appear here once all tensors are processed."]
    return [
        "This run has not exported anything yet.",
        "",
        f"r  Resume it: workbench resume {followed.run.name}",
    ]


def _fallbacks(state: RunState) -> list[str]:
    """Which tensors could not have their type's format: of the last plan all, else what was noted.

    A note names the type it is about.
    """
    plan = state.export_plan
    told = [
        f"{kind}: {line}"
        for kind, lines in (plan.fallbacks if plan else {}).items()
        for line in lines
    ]
    starts = tuple(f"{kind}: " for kind in state.exported)
    noted = [n.message for n in state.notes if starts and n.message.startswith(starts)]
    return list(dict.fromkeys([*noted, *told]))


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
