"""What a dry run's child found for a training stage, in words: steps, time, memory.

The same lines stand under `--dry-run` and beside the preset's form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.core.text import duration, one_line, quantity, size

TOLD_SHARE = 0.01  # a part of the memory below this is not named


def stage_lines(found: Mapping[str, Any], stage: str) -> list[str]:
    """The lines of a stage: its steps, its time, its memory, what its adapter trains.

    What is not known says so.
    """
    counts = found["stages"].get(stage, {})
    lines = [_steps(counts)]
    if "steps" in counts:
        lines.append(_time(counts))
    if counts.get("packing") == "auto":
        lines.append("packing or grouping by length: chosen before the first step")
    lines.append(_memory(counts.get("memory"), found.get("device")))
    return [*lines, *(f"trains {line}" for line in counts.get("targets", []))]


def summary(found: Mapping[str, Any], stages: Sequence[str]) -> str:
    """All stages in one line: `63 + 336 steps  about 2:50  762 MiB of 22.6 GiB free`."""
    known = [found["stages"].get(name, {}) for name in stages]
    parts = ["steps: known once the base model is downloaded"]
    if all("steps" in counts for counts in known):
        parts = [" + ".join(f"{counts['steps']:,}" for counts in known) + " steps"]
        times = [counts.get("seconds") for counts in known]
        if all(times):
            parts.append(f"about {duration(sum(times))}")
    peaks = [counts["memory"]["peak"] for counts in known if counts.get("memory")]
    if peaks and found.get("device"):
        parts.append(f"{size(max(peaks))} of {size(found['device']['free'])} free")
    return "  ".join(parts)


def is_too_large(found: Mapping[str, Any]) -> bool:
    """Whether some stage is likely to need more memory than is free."""
    free = (found.get("device") or {}).get("free")
    peaks = [(one.get("memory") or {}).get("peak", 0) for one in found["stages"].values()]
    return free is not None and any(peak > free for peak in peaks)


def _steps(counts: Mapping[str, Any]) -> str:
    if "steps" not in counts:
        return "steps: known once the base model is downloaded"
    return (
        f"{quantity(counts['steps'], 'step')}, {counts['steps_per_epoch']:,} per epoch "
        f"({quantity(counts['tokens'], 'token')}); "
        f"{quantity(counts['validations'], 'validation')}, "
        f"{quantity(counts['checkpoints'], 'checkpoint')}{_shared(counts)}"
    )


def _shared(counts: Mapping[str, Any]) -> str:
    """How a step is dealt out to several processes."""
    processes, dealt = counts.get("processes", 1), counts.get("micro_batches", 1)
    if processes == 1:
        return ""
    cut = ", split into parts" if dealt < processes else ""
    return f"; {quantity(dealt, 'micro-batch')} per step{cut}, for {processes} processes"


def _time(counts: Mapping[str, Any]) -> str:
    if not counts.get("seconds"):
        return "time: known once the first steps have run"
    speed = f"{counts['tokens_per_second']:,.0f} tokens/s"
    return f"about {duration(counts['seconds'])} at {speed} (as in {one_line(counts['as_in'], 40)})"


def _memory(memory: Mapping[str, Any] | None, device: Mapping[str, Any] | None) -> str:
    if not memory or not device:
        return "memory: known once the base model's config.json is available"
    peak, free = memory["peak"], device["free"]
    verdict = f"{size(free)} of {size(device['total'])} free"
    if peak > free:
        verdict = f"MORE THAN the {size(free)} free of {size(device['total'])}"
    parts = sorted(memory["parts"].items(), key=lambda part: -part[1])
    named = [f"{name} {size(bytes)}" for name, bytes in parts if bytes >= TOLD_SHARE * peak]
    where = one_line(str(device["name"]), 60)
    return f"about {size(peak)} of memory on {where} ({verdict}): {', '.join(named)}"
