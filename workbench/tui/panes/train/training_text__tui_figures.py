"""What Train says in words: the head line, the figures, the answers, the notes; and the CSV."""

from __future__ import annotations

from rich.text import Text

from workbench.reports import status_text
from workbench.run.events import Load
from workbench.reports.run_overview import standing
from workbench.core.text import one_line, size
from workbench.tui.chart.axes import count, figure
from workbench.tui.runs.follower import Followed
from workbench.reports.run_overview__tui_glance import MARKS, Seen
from workbench.tui.panes.runs.run_table import COLOURS, ago, bar

BAR_CELLS = 12


def head(followed: Followed) -> Text:
    """Which run, how it stands, how far it is."""
    state = followed.state
    half_read = followed.behind and not followed.at_work  # its end may be the missing part
    stands: Seen = "reading" if half_read else standing(state, followed.at_work)
    text = Text().append(f" {MARKS[stands]} ", COLOURS.get(stands, ""))
    text.append(one_line(followed.run.name, 30), "bold").append(f"  {stands}")
    stage = state.stages.get(state.stage)
    if stage and stage.status == "running":
        phrase = status_text.running(stage)
        text.append(f"  {status_text.label(stage.name)}")
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
    """The newest losses of the training stage that is shown."""
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
    if stage.general:
        gone = stage.general[-1].loss - stage.general[0].loss
        parts.append(f"general {figure(stage.general[-1].loss)} ({gone:+.2f})")
    parts.append(f"epoch {last.epoch:.2f}")
    names = f"{status_text.label(stage_name)}: " if len(followed.curves) > 1 else ""
    return Text(f" {names}" + "  ".join(parts))


def pace(followed: Followed, stage_name: str) -> Text:
    """Speed, learning rate and gradient norm, then memory and load; the head has the time left."""
    stage = followed.state.stages.get(stage_name)
    if stage is None or not stage.steps:
        return Text("")
    last = stage.steps[-1]
    parts = [f"{last.tokens_per_second:,.0f} tok/s", f"lr {figure(last.learning_rate)}"]
    parts.append(f"grad norm {figure(last.gradient_norm)}")
    load = followed.state.load if followed.at_work else None
    parts += [size(last.memory_bytes)] if load is None else loads(load)
    if last.padding_share > 0.005:
        parts.append(f"padding {last.padding_share:.0%}")
    return Text(" " + "  ".join(parts))


def loads(load: Load) -> list[str]:
    """`804 MiB (21.0 GiB free)`, `cpu 98% (worker 1.9 cores)`, `gpu 97% 12.0 of 24.0 GiB`."""
    parts = [f"{size(load.memory_bytes)} ({size(load.memory_free_bytes)} free)"]
    parts.append(f"cpu {load.cpu_share:.0%} (worker {load.worker_cores:.1f} cores)")
    if load.gpu_memory_bytes is not None:
        busy = "" if load.gpu_share is None else f" {load.gpu_share:.0%}"
        used, total = load.gpu_memory_bytes, load.gpu_memory_total_bytes
        of = f"{used / (1 << 30):.1f} of {total / (1 << 30):.1f} GiB" if total else size(used)
        parts.append(f"gpu{busy} {of}")
    return parts


def notes(followed: Followed) -> list[Text]:
    """Notes and warnings in their order, a line each, with what went wrong last."""
    state = followed.state
    lines = [
        Text(f"   {status_text.label(stage.name)}: {status_text.memory(stage.memory)}")
        for stage in state.stages.values()
        if stage.memory
    ]
    lines += [
        Text(f" ! {one_line(note.message, 400)}", "yellow")
        if note.level == "warning"
        else Text(f"   {one_line(note.message, 400)}")
        for note in state.notes
    ]
    if state.error:
        lines.append(Text(f" ✗ {one_line(state.error, 400)}", "red"))
    return lines


def why_empty(followed: Followed | None) -> str:
    """What stands in the place of a curve that is not there yet."""
    if followed is None:
        return "no run selected"
    if followed.behind:
        return "reading the log ..."
    if not followed.state.last_seq:
        return (
            "this run has not started; press r to start it"
            if not followed.at_work
            else "starting ..."
        )
    return "no training steps yet" if followed.at_work else "no training steps in this run"


def _since(time: str) -> str:
    when = ago(time)
    return when if when == "now" else f"{when} ago"
