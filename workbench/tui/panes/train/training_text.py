"""The Train pane in words: the head line, metrics, samples, notes.

Samples are responses to fixed prompts over time: the newest first, the base model's last. What
differs from the sample before is bright. All prompts at once show the newest and the base model's,
side by side if there is space; one prompt alone shows every sample.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import zip_longest

from rich.cells import cell_len
from rich.text import Text

from workbench.core.text import one_line, size, visible
from workbench.reports import status_text
from workbench.reports.run_overview import MARKS, Seen, run_status
from workbench.run.events import Load, Sampled
from workbench.tui.chart.axes import count, figure
from workbench.tui.panes.runs.run_table import COLOURS, ago, bar
from workbench.tui.runs.follower import RunFollower

NEW = "bold green"
BESIDE_WIDTH = 84  # from here on two answers stand side by side
MAX_SHOWN = 100  # answers of one prompt
MAX_WORDS = 2000  # beyond that an answer is not compared word by word
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
Spans = tuple[tuple[int, int], ...]


def prompts_of(samples: Sequence[Sampled]) -> list[str]:
    """The prompts in the order in which they were asked."""
    return list(dict.fromkeys(sample.prompt for sample in samples))


def answer_lines(samples: Sequence[Sampled], chosen: int, width: int) -> list[Text]:
    """All prompts (`chosen` -1), or the one of that number with its answers over time."""
    if not samples:
        return [Text(" No samples in this stage yet.", "dim")]
    prompts = prompts_of(samples)
    if 0 <= chosen < len(prompts):
        return list(_history(samples, prompts[chosen], width))
    return [line for prompt in prompts for line in _newest_and_base(samples, prompt, width)]


def _newest_and_base(samples: Sequence[Sampled], prompt: str, width: int) -> Iterator[Text]:
    """The prompt, what the model says now and what it said before it was trained."""
    told = _of(samples, prompt)
    yield from _asked(prompt, width)
    newest, first = told[-1], told[0]
    if newest is first:
        yield Text(f"   {_when(newest)}", "bold")
        yield from _said(newest, None, width)
        return
    before = told[-2]
    if width < BESIDE_WIDTH:
        yield Text(f"   {_when(newest)}", "bold")
        yield from _said(newest, before, width)
        yield Text(f"   {_when(first)}", "dim")
        yield from _said(first, None, width)
        return
    half = width // 2
    left = [Text(f"   {_when(newest)}", "bold"), *_said(newest, before, half)]
    right = [Text(f"   {_when(first)}", "dim"), *_said(first, None, half)]
    yield from _beside(left, right, half)


def _history(samples: Sequence[Sampled], prompt: str, width: int) -> Iterator[Text]:
    """Every answer to the prompt, the newest first; a row of equal ones is told once."""
    yield from _asked(prompt, width)
    told = _of(samples, prompt)
    changes = [n for n, one in enumerate(told) if n == 0 or one.answer != told[n - 1].answer]
    for at, n in reversed(list(enumerate(changes))[-MAX_SHOWN:]):
        last = changes[at + 1] - 1 if at + 1 < len(changes) else len(told) - 1
        until = f" to {count(told[last].step)}" if last > n else ""
        yield Text(f"   {_when(told[n])}{until}", "bold" if n else "dim")
        yield from _said(told[n], told[n - 1] if n else None, width)


def _of(samples: Sequence[Sampled], prompt: str) -> list[Sampled]:
    return [sample for sample in samples if sample.prompt == prompt]


def _when(sample: Sampled) -> str:
    return f"step {count(sample.step)}" if sample.step else "before training"


def _asked(prompt: str, width: int) -> Iterator[Text]:
    yield Text(f" › {one_line(prompt, max(20, width - 4))}", "cyan")


def _said(sample: Sampled, before: Sampled | None, width: int) -> Iterator[Text]:
    """The answer in lines of at most `width`, with what is new in it bright."""
    text = _plain(sample)
    spans = changed(_plain(before), text) if before else ()
    style = "" if sample.step else "dim"
    for start, end in broken(text, max(10, width - 6)):
        line = Text("     ", style).append(text[start:end], style)
        for first, last in spans:
            if first < end and last > start:
                line.stylize(NEW, max(first, start) - start + 5, min(last, end) - start + 5)
        yield line
    if not sample.stopped:
        yield Text("     … (token limit reached)", "dim")


def _plain(sample: Sampled) -> str:
    return visible(sample.answer).rstrip().expandtabs(4)


def _beside(left: Sequence[Text], right: Sequence[Text], width: int) -> Iterator[Text]:
    for one, other in zip_longest(left, right, fillvalue=Text()):
        line = Text().append_text(_spread(one))
        line.append(" " * max(1, width - cell_len(one.plain)))
        yield line.append_text(_spread(other))


def _spread(line: Text) -> Text:
    """The line's own style laid on its characters, so that it stays where lines are joined."""
    found = Text(line.plain, spans=list(line.spans))
    if line.style:
        found.stylize_before(line.style)
    return found


@lru_cache(maxsize=512)
def changed(before: str, after: str) -> Spans:
    """[start, end) of the stretches of `after` whose words `before` has not in that place."""
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    if before == after or max(len(old), len(new)) > MAX_WORDS:
        return ()
    ends = [0]
    for word in new:
        ends.append(ends[-1] + len(word))
    blocks = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return tuple((ends[j1], ends[j2]) for tag, _, _, j1, j2 in blocks if tag != "equal" and j1 < j2)


def broken(text: str, width: int) -> Iterator[tuple[int, int]]:
    """[start, end) of the rows that a text fills in so many cells; long lines at a space."""
    start = 0
    for line in text.split("\n"):
        at, end = start, start + len(line)
        while True:
            row = _row(text, at, end, width)
            yield at, row
            at = row
            if at >= end:
                break
        start = end + 1


def _row(text: str, start: int, end: int, width: int) -> int:
    """Where the row that begins at `start` ends."""
    cells, at = 0, start
    while at < end:
        cells += cell_len(text[at])
        if cells > width and at > start:
            space = text.rfind(" ", start + (at - start) // 2, at)
            return space + 1 if space > start else at
        at += 1
    return end


BAR_CELLS = 12


def head(followed: RunFollower) -> Text:
    """Which run, how it stands, how far it is."""
    state = followed.state
    half_read = followed.behind and not followed.at_work  # its end may be the missing part
    stands: Seen = "reading" if half_read else run_status(state, followed.at_work)
    text = Text().append(f" {MARKS[stands]} ", COLOURS.get(stands, ""))
    text.append(one_line(followed.run.name, 30), "bold").append(f"  {stands}")
    stage = state.stages.get(state.stage)
    if stage and stage.status == "running":
        phrase = status_text.running_text(stage)
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


def figures(followed: RunFollower, stage_name: str) -> Text:
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


def pace(followed: RunFollower, stage_name: str) -> Text:
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


def notes(followed: RunFollower) -> list[Text]:
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


def why_empty(followed: RunFollower | None) -> str:
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
