"""What a run's state is in words: a line for a finished stage, a phrase for a running one.

Pure text from `RunState`; how and where it is shown is the views' business. Everything here
passes `visible`, so no byte of a model's or a data set's can steer a terminal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workbench.core.text import duration, one_line, quantity, size
from workbench.run.events import MemoryMeasured, Step
from workbench.run.state import RunState, StageState

# The figures of an evaluation that are told in a stage's line, with what they are called there.
SHARES = {
    "passed": "pass rate",
    "adheres": "adherence",
    "exact": "exact match",
    "stopped": "stops",
    "perplexity": "perplexity",
}
NAME_WIDTH = 16


@dataclass(frozen=True)
class StatusPhrase:
    """How far a running stage is: `share` from 0 to 1 (None: not known), what it does, time."""

    share: float | None
    text: str
    left: str = ""


def label(stage: str) -> str:
    """`train:sft` as `train sft`."""
    return one_line(stage.replace(":", " ", 1), 40)


def finished_text(stage: StageState, state: RunState) -> str:
    """`✓ train sft       250 steps  loss 1.93 → 0.04  best 0.05  7,900 tok/s  0:58`."""
    parts = [*_summary(stage, state), duration(stage.elapsed_s)]
    return f"✓ {label(stage.name):{NAME_WIDTH}} " + "  ".join(parts)


def running_text(stage: StageState) -> StatusPhrase:
    """What a stage does at the moment."""
    if stage.steps and stage.plan:
        return _training(stage)
    progress = stage.progress
    if progress is None:
        return StatusPhrase(None, one_line(stage.title))
    share = progress.done / progress.total if progress.total else None
    of = f" of {progress.total:,}" if progress.total else ""
    parts = [f"{progress.done:,}{of} {one_line(progress.unit)}", one_line(progress.label, 40)]
    parts.append(one_line(progress.detail, 40))
    return StatusPhrase(share, "  ".join(part for part in parts if part), _left(stage))


def memory(measured: MemoryMeasured) -> str:
    """`at most 0.8 GiB of memory by its worst batch (estimated 0.9 GiB), 20.1 GiB free`."""
    foreseen = f" (estimated {size(measured.estimated_bytes)})" if measured.estimated_bytes else ""
    most = f"peak memory {size(measured.peak_bytes)} for the largest batch"
    return f"{most}{foreseen}, {size(measured.free_bytes)} free"


def tokens_per_second(steps: Sequence[Step]) -> float:
    """Tokens of all steps over the time of all steps; 0 when none was timed.

    A step's `tokens` are those since the stage began: its own are its speed times its time.
    """
    seconds = sum(step.elapsed_s for step in steps)
    tokens = sum(step.tokens_per_second * step.elapsed_s for step in steps)
    return tokens / seconds if seconds else 0.0


def number(value: Any) -> str:
    """A figure for the eye: 0.94, 1,234, 1.2e-05, or the text itself."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return one_line(str(value), 40)
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return "not finite"
    return f"{value:.1e}" if 0 < abs(value) < 0.005 else f"{value:,.2f}"


def _training(stage: StageState) -> StatusPhrase:
    last = stage.steps[-1]
    parts = [f"step {last.step:,} of {last.steps:,}", f"loss {number(last.loss)}"]
    if stage.best_loss is not None:
        parts.append(f"best {number(stage.best_loss)}")
    parts.append(f"{last.tokens_per_second:,.0f} tok/s")
    share = last.step / last.steps if last.steps else None
    return StatusPhrase(share, "  ".join(parts), _left(stage))


def _left(stage: StageState) -> str:
    left = stage.seconds_left
    return "" if left is None else f"{duration(left)} left"


def _summary(stage: StageState, state: RunState) -> list[str]:
    if stage.steps:
        return _trained(stage)
    tell = {
        "prepare": _prepared,
        "export": _exported,
        "evaluate": _evaluated,
        "package": _packaged,
    }.get(stage.name)
    return tell(state) if tell else _as_told(stage)


def _trained(stage: StageState) -> list[str]:
    first, last = stage.steps[0], stage.steps[-1]
    parts = [f"{quantity(last.step, 'step')}", f"loss {number(first.loss)} → {number(last.loss)}"]
    if stage.best_loss is not None:
        parts.append(f"best {number(stage.best_loss)}")
    if len(stage.general) > 1:
        before, after = stage.general[0].loss, stage.general[-1].loss
        parts.append(f"general-text loss {number(before)} → {number(after)}")
    return [*parts, f"{tokens_per_second(stage.steps):,.0f} tok/s"]


def _prepared(state: RunState) -> list[str]:
    data = state.data
    if data is None:
        return []
    training = quantity(data.train_rows, "training row")
    parts = [f"{training}, {quantity(data.validation_rows, 'validation row')}"]
    left_out = [(data.duplicates, "duplicates"), (data.leaks, "leaks"), (data.faults, "findings")]
    return parts + [f"{what}: {count:,}" for count, what in left_out if count]


def _exported(state: RunState) -> list[str]:
    done = state.stages["export"].done
    paths = {made["path"] for made in done.artefacts} if done else set()
    files = [file for file in state.exported.values() if not paths or file.path in paths]
    made = [f"{one_line(file.type)} {size(file.bytes)}" for file in files]
    measured = [state.parity[file.type] for file in files if file.type in state.parity]
    if not measured:
        return made
    worst = max(parity.kl_mean for parity in measured)
    kept = all(parity.passed for parity in measured)
    return [*made, f"parity {'passed' if kept else 'FAILED'}, mean KL at most {number(worst)}"]


def _evaluated(state: RunState) -> list[str]:
    base, tuned = state.figures.get("base", {}), state.figures.get("tuned", {})
    return [
        f"{what} {number(base[name])} → {number(tuned[name])}"
        if name in base
        else f"{what} {number(tuned[name])}"
        for name, what in SHARES.items()
        if name in tuned
    ]


def _packaged(state: RunState) -> list[str]:
    return [one_line(packaged.path) for packaged in state.packaged]


def _as_told(stage: StageState) -> list[str]:
    summary = stage.done.summary if stage.done else {}
    return [f"{one_line(key)} {number(value)}" for key, value in summary.items()]
