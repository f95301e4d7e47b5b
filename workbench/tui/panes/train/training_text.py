"""The answers to fixed prompts over time, as lines: the newest first, the base's last.

What an answer has otherwise than the one before it is bright. All prompts at once show the newest
answer and the base's, side by side where there is room; one prompt alone shows every answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import zip_longest

from rich.cells import cell_len
from rich.text import Text

from workbench.run.events import Sampled
from workbench.core.text import one_line, visible
from workbench.tui.chart.axes import count

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
