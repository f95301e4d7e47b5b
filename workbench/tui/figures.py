"""What Train says in words: the head line, the figures, the answers, the notes; and the CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from rich.text import Text

from workbench.files import write_atomic
from workbench.headless import telling
from workbench.run.overview import standing
from workbench.run.state import RunState
from workbench.text import one_line, size, visible
from workbench.tui.chart.curves import StageCurves
from workbench.tui.chart.scale import count, figure
from workbench.tui.followed import Followed
from workbench.tui.glance import MARKS
from workbench.tui.widgets.runlist import COLOURS, ago, bar

BAR_CELLS = 12
MAX_ANSWERS = 200


def head(followed: Followed) -> Text:
    """Which run, how it stands, how far it is."""
    state = followed.state
    stands = standing(state, followed.at_work)
    text = Text().append(f" {MARKS[stands]} ", COLOURS.get(stands, ""))
    text.append(one_line(followed.run.name, 30), "bold").append(f"  {stands}")
    stage = state.stages.get(state.stage)
    if stage and stage.status == "running":
        phrase = telling.running(stage)
        text.append(f"  {telling.label(stage.name)}")
        if phrase.share is not None:
            text.append(f"  {bar(phrase.share, BAR_CELLS)}▏", "green").append(f"{phrase.share:.0%}")
        if not stage.steps:
            text.append(f"  {phrase.text}")
        if followed.at_work and phrase.left:
            text.append(f"  {phrase.left}")
    elif state.last_time:
        text.append(f"  {_since(state.last_time)}", "dim")
    if followed.behind:
        text.append("  reading the log ...", "yellow")
    if state.error and not followed.at_work:
        text.append(f"  {one_line(state.error, 200)}", "red")
    if followed.trouble:
        text.append(f"  the log cannot be read: {one_line(followed.trouble)}", "red")
    return text


def figures(followed: Followed, stage_name: str) -> Text:
    """The newest figures of the training stage that is shown."""
    curves = followed.curves.get(stage_name)
    stage = followed.state.stages.get(stage_name)
    if curves is None or stage is None or not stage.steps:
        return Text("")
    last = stage.steps[-1]
    parts = [f"step {count(last.step)}/{count(last.steps)}", f"loss {figure(last.loss)}"]
    if stage.validations:
        best = min(stage.validations, key=lambda one: one.loss)
        parts.append(f"val {figure(stage.validations[-1].loss)}")
        parts.append(f"best {figure(best.loss)} @{count(best.step)}")
    parts += [
        f"{last.tokens_per_second:,.0f} tok/s",
        size(last.memory_bytes),
        f"lr {figure(last.learning_rate)}",
        f"norm {figure(last.gradient_norm)}",
        f"epoch {last.epoch:.2f}",
    ]
    if last.padding_share > 0.005:
        parts.append(f"padding {last.padding_share:.0%}")
    names = f"{telling.label(stage_name)}: " if len(followed.curves) > 1 else ""
    return Text(f" {names}" + "  ".join(parts))


def answers(state: RunState, stage_name: str) -> list[Text]:
    """The answers to the fixed prompts, the newest first, cut off where they go on too long."""
    stage = state.stages.get(stage_name)
    if stage is None or not stage.samples:
        return [Text(" No sample answers in this stage yet.", "dim")]
    lines: list[Text] = []
    step = -1
    for sample in stage.samples[: -MAX_ANSWERS - 1 : -1]:
        if sample.step != step:
            step = sample.step
            lines.append(Text(f" step {count(step)}", "bold"))
        lines.append(Text(f"   › {one_line(sample.prompt, 200)}", "dim"))
        end = "" if sample.stopped else " … (went on to its limit)"
        lines += [Text(f"     {line}") for line in visible(sample.answer + end).split("\n")]
    return lines


def notes(followed: Followed) -> list[Text]:
    """Notes and warnings in their order, with what went wrong last."""
    state = followed.state
    lines = [
        Text(f" ! {one_line(note.message, 400)}", "yellow")
        if note.level == "warning"
        else Text(f"   {one_line(note.message, 400)}")
        for note in state.notes
    ]
    if state.error:
        lines.append(Text(f" ✗ {one_line(state.error, 400)}", "red"))
    return lines or [Text(" No notes.", "dim")]


def why_empty(followed: Followed | None) -> str:
    """What stands in the place of a curve that is not there yet."""
    if followed is None:
        return "no run chosen"
    if followed.behind:
        return "reading the log ..."
    if not followed.state.last_seq:
        return "this run has not begun; r starts it" if not followed.at_work else "starting ..."
    return "no training step yet" if followed.at_work else "no training step in this run"


def save_csv(curves: StageCurves, path: Path) -> Path:
    """Write the stage's figures, one line a step; an empty field where there is no value."""
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(["step", "loss", "validation_loss", "learning_rate", "gradient_norm"])
    series = (curves.train, curves.validation, curves.learning_rate, curves.gradient_norm)
    columns = [dict(zip(one.xs, one.ys, strict=True)) for one in series]
    for step in sorted(set().union(*columns)):
        table.writerow([int(step), *(column.get(step, "") for column in columns)])
    write_atomic(path, out.getvalue())
    return path


def _since(time: str) -> str:
    when = ago(time)
    return when if when == "now" else f"{when} ago"
